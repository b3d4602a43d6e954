"""Accounting: every evaluation's samples and seconds, counted once, rows of reports left out."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from env.evaluating.accounting import TABLE_ROW, Ledger, account
from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluation import Evaluation
from env.evaluating.evaluator import Evaluator
from env.evaluating.stored_accuracies import StoredAccuracies
from hardware.store import Store
from quant.allocation import Allocation
from quant.network import QuantizedNetwork
from quant.records.json_form import to_plain
from quant.retraining.finetune_config import FinetuneConfig, images_seen
from quant.testing import retrain
from tests.conftest import Digits
from tests.env.conftest import SmallDigits

QUICK = FinetuneConfig(
    steps=4, batch_size=32, compensation_images=16, scale_images=64, held_back_images=50
)
SEEN = 4 * 32 + 16 + 2 * (64 + 50)
"""Images of one retraining below: trained on, compensated over, scaled by, scored twice."""


def evaluations(
    small_digits: SmallDigits, accuracies: StoredAccuracies | None = None
) -> list[Evaluation]:
    evaluator = Evaluator(
        small_digits.network.clone(),
        small_digits.device,
        small_digits.task.train,
        small_digits.task.search,
        EnvConfig(finetune=QUICK),
        seed=0,
        limit=4,
        accuracies=accuracies,
    )
    layers = small_digits.network.layers
    evaluator.evaluate([Allocation.uniform(layers, 8), Allocation.uniform(layers, 4)])
    evaluator.proposer = TABLE_ROW
    evaluator.evaluate([Allocation.uniform(layers, 2)])
    return evaluator.evaluations


def test_a_search_is_charged_its_evaluations_and_its_own_training(
    small_digits: SmallDigits,
) -> None:
    done = evaluations(small_digits)
    ledger = Ledger()
    ledger.add(training_samples=100)
    ledger.add(training_samples=11, device_s=2.0)
    used = account(done, ledger, 7.5)
    assert (used.evaluations, used.training_samples) == (2, 2 * SEEN + 111)
    assert used.wall_s == 7.5
    times = [m for e in done[:2] if (m := e.measurement)]
    expected = sum(sum(m.values_ms) * m.loops for m in times) / 1000
    assert used.device_s == pytest.approx(2.0 + expected)
    assert expected > 0


def test_what_was_looked_up_is_charged_like_what_was_not(
    small_digits: SmallDigits, tmp_path: Path
) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        first, second = (
            evaluations(small_digits, accuracies=StoredAccuracies(store, {"test": 1}))
            for _ in range(2)
        )
    assert [e.training_samples for e in first] == [e.training_samples for e in second] == [SEEN] * 3
    looked_up = account([replace(second[0], cached=True)], Ledger(), 1.0)
    assert looked_up.looked_up == 1
    assert looked_up.device_s == account(second[:1], Ledger(), 1.0).device_s


def test_a_failed_candidate_is_charged_the_time_it_took(small_digits: SmallDigits) -> None:
    failed = replace(evaluations(small_digits)[0], measurement=None, error="crashed", measure_s=3.0)
    assert account([failed], Ledger(), 0.0).device_s == 3.0


def test_evaluations_of_older_versions_are_read(small_digits: SmallDigits) -> None:
    document = to_plain(evaluations(small_digits)[0])
    del document["training_samples"], document["beside_reference"]
    read = Evaluation.from_dict(document)
    assert (read.training_samples, read.beside_reference) == (0, None)


@pytest.mark.parametrize(
    ("steps", "batch", "count"), [(0, 8, 20), (2, 8, 20), (3, 8, 20), (7, 8, 20)]
)
def test_images_seen_is_what_finetune_sees(
    network: QuantizedNetwork, digits: Digits, steps: int, batch: int, count: int
) -> None:
    network.set_allocation(Allocation.uniform(network.layers, 4))
    seen = []

    def note(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if module is network:  # and not the float copy, which has the hook as well
            seen.append(len(inputs[0]))

    network.register_forward_pre_hook(note)
    config = FinetuneConfig(steps=steps, batch_size=batch, compensation_images=0)
    retrain(network, digits.train_images[:count], digits.train_labels[:count], config, seed=0)
    assert sum(seen) == images_seen(config, count)
