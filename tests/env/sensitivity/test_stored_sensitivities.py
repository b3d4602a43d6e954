"""Estimates are made once for equal networks and images, and charged whoever made them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from env.errors import TaskError
from env.evaluating.accounting import Ledger
from env.evaluating.sensitivity_config import SensitivityConfig
from env.evaluating.training_pool import LookedAt
from env.sensitivity.stored_sensitivities import StoredSensitivities
from env.tasks import Split
from hardware.measuring.lock import training_lock
from hardware.store import Store
from quant.allocation import Allocation
from quant.network import QuantizedNetwork
from quant.objective.loss import CROSS_ENTROPY
from quant.sensitivities import SENSITIVITY_KINDS
from quant.sensitivities.batches import batches_of
from quant.sensitivities.measured import losses_at

CONFIG = SensitivityConfig(images=16, batch_size=8, draws=2, orthogonality_images=12)


def source(
    network: QuantizedNetwork, digits: Any, store: Store, ledger: Ledger, **options: Any
) -> StoredSensitivities:
    train = Split(images=digits.train_images, labels=digits.train_labels)
    return StoredSensitivities(
        network, train, options.pop("config", CONFIG), store, ledger, **options
    )


def test_each_estimate_is_made_once_and_charged_to_whoever_asks(
    network: QuantizedNetwork, digits: Any, tmp_path: Path
) -> None:
    stages: list[str] = []
    ledgers = Ledger(), Ledger()
    with Store(tmp_path / "store.sqlite") as store:
        found, alike = [], []
        for ledger in ledgers:
            here = source(
                network, digits, store, ledger, progress=lambda name, *_: stages.append(name)
            )
            found.append([here.table(kind) for kind in SENSITIVITY_KINDS])
            found[-1] += [here.table(kind) for kind in SENSITIVITY_KINDS]
            alike += [here.orthogonality(), here.orthogonality()]
            made = len(stages)
        assert store.count("sensitivity") == 5
    assert found[0] == found[1]
    first, _, again, _ = alike
    assert again is not first, "the second source read it from the store"
    assert alike == [first] * 4
    assert first.layers == tuple(layer.name for layer in network.layers)
    matrix = np.array(first.matrix)
    assert matrix.diagonal() == pytest.approx(1.0)
    assert (matrix < 1.0).any(), "layers differ"
    assert set(stages) == {*SENSITIVITY_KINDS, "orthogonality"}
    assert made == len(stages), "the second source looked everything up"
    expected = sum(table.samples for table in found[0][:4]) + 12
    assert [ledger.training_samples for ledger in ledgers] == [expected] * 2
    assert {table.images for table in found[0]} == {16}


def test_other_weights_images_or_settings_are_other_estimates(
    network: QuantizedNetwork, digits: Any, tmp_path: Path
) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        source(network, digits, store, Ledger()).table("fisher")
        twin = network.clone()
        with torch.no_grad():
            next(twin.parameters()).mul_(1.01)
        source(twin, digits, store, Ledger()).table("fisher")
        fewer = SensitivityConfig(images=8, batch_size=8)
        source(network, digits, store, Ledger(), config=fewer).table("fisher")
        assert store.count("sensitivity") == 3


@pytest.mark.parametrize("wrong", [{"images": 0}, {"draws": 0}, {"orthogonality_images": 1}])
def test_wrong_sizes_are_named(wrong: Any) -> None:
    with pytest.raises(TaskError, match=f"env.sensitivity.{next(iter(wrong))}"):
        SensitivityConfig(**wrong)


class Others:
    """Compute losses as another machine would, which has a lock of its own to take."""

    def __init__(self, network: QuantizedNetwork, digits: Any) -> None:
        self.network, self.digits = network, digits
        self.asked = 0

    def losses(self, images: LookedAt, allocations: Sequence[Allocation]) -> Iterator[float]:
        assert images.split == "train"
        assert images.numbers is not None
        self.asked += len(allocations)
        picked = self.digits.train_images[images.numbers], self.digits.train_labels[images.numbers]
        batches = batches_of(*picked, images.batch)
        for allocation in allocations:
            with training_lock():
                yield from losses_at(self.network, [allocation], batches, CROSS_ENTROPY)


def test_others_measure_what_this_process_does(
    network: QuantizedNetwork, digits: Any, tmp_path: Path
) -> None:
    others, tables = Others(network.clone(), digits), []
    for name, options in (("alone", {}), ("others", {"pool": others})):
        with Store(tmp_path / f"{name}.sqlite") as store:
            here = source(network, digits, store, Ledger(), **options)
            tables.append(here.table("measured"))
            assert here.table("fisher").samples, "other kinds are estimated here"
    assert tables[0].rises == tables[1].rises
    assert tables[0].samples == tables[1].samples == 16 * others.asked
