from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from env.evaluating.stored_accuracies import StoredAccuracies, network_digest
from hardware.store import Store
from quant.allocation import Allocation, LayerBits
from quant.convert import convert
from quant.network import QuantizedNetwork
from quant.retraining.accuracy import Accuracy
from tests.hardware.store_contract import Reopen, ResultStore, StoreContract


def test_every_change_of_a_layers_bits_changes_its_codes_and_the_stored_key(
    network: QuantizedNetwork, tmp_path: Path
) -> None:
    base = Allocation.uniform(network.layers, 5)
    network.set_allocation(base)
    codes = {op.layer: op.weight for op in convert(network).layer_ops()}
    with Store(tmp_path / "store.sqlite") as store:
        known = StoredAccuracies(store, {"task": "tiny"})
        known.put(base, Accuracy(correct=1, count=2, loss=0.5))
        assert known.get(base) == Accuracy(correct=1, count=2, loss=0.5)
        for layer in network.layers:
            for bits in (2, 3, 4, 6, 7, 8):
                changed = dict(base.items)
                changed[layer.name] = replace(changed[layer.name], weight_bits=bits)
                allocation = Allocation.of(changed)
                assert known.get(allocation) is None
                network.set_allocation(allocation)
                for op in convert(network).layer_ops():
                    same = (op.weight == codes[op.layer]).all()
                    assert same == (op.layer != layer.name), (layer.name, bits)


def test_results_of_another_task_or_network_are_not_used(
    network: QuantizedNetwork, tmp_path: Path
) -> None:
    base = Allocation.uniform(network.layers, 4)
    with Store(tmp_path / "store.sqlite") as store:
        first = {"network": network_digest(network)}
        StoredAccuracies(store, first).put(base, Accuracy(correct=1, count=2, loss=0.5))
        network.layer(network.layers[0].name).weight.data[0] += 1e-3
        second = {"network": network_digest(network)}
        assert StoredAccuracies(store, second).get(base) is None


class TestStoredAccuracies(StoreContract):
    keys = tuple(
        Allocation.of({"layer": LayerBits(weight_bits=bits, activation_bits=8)}) for bits in (3, 4)
    )
    results = tuple(Accuracy(correct=right, count=9, loss=0.5) for right in (3, 4))

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Reopen:
        @contextmanager
        def opened() -> Iterator[ResultStore]:
            with Store(tmp_path / "store.sqlite") as store:
                yield StoredAccuracies(store, {"task": "tiny"})

        return opened
