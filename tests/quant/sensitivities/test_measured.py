import json
from typing import Any

import pytest
import torch

from quant.allocation import Allocation
from quant.errors import BitAllocError
from quant.network import QuantizedNetwork
from quant.records.json_form import from_plain, to_plain
from quant.sensitivities import SensitivityTable, measured_sensitivity
from quant.sensitivities.batches import batches_of

CHOICES = (2, 4, 8)


def measure(network: QuantizedNetwork, digits: Any, **options: Any) -> SensitivityTable:
    batches = batches_of(digits.train_images[:300], digits.train_labels[:300], size=256)
    return measured_sensitivity(network, batches, CHOICES, **options)


def test_two_bits_hurt_and_eight_do_not(network: QuantizedNetwork, digits: Any) -> None:
    table = measure(network, digits)
    for layer in network.layers:
        assert table.rises[layer.name, "weight", 8] == 0.0
        assert table.rises[layer.name, "weight", 2] >= 0.0
        assert table.rises[layer.name, "weight", 2] >= table.rises[layer.name, "weight", 4]
        if not layer.reads_input:
            assert table.rises[layer.name, "activation", 8] == 0.0
            assert table.rises[layer.name, "activation", 2] >= 0.0
    assert max(table.rises.values()) > table.base_loss
    assert 0 < table.base_loss < 0.3
    assert table.images == 300


def test_every_choice_has_an_entry_but_the_fixed_input(
    network: QuantizedNetwork, digits: Any
) -> None:
    seen: list[tuple[int, int]] = []
    table = measure(network, digits, progress=lambda done, total: seen.append((done, total)))
    assert set(table.rises) == {
        (layer.name, part, bits)
        for layer in network.layers
        for part in ("weight", "activation")
        for bits in CHOICES
        if part == "weight" or not layer.reads_input
    }
    total = len(CHOICES) * (8 + 6)  # 8 layers; 7 tensors, of which one is the input
    assert seen == [(done, total) for done in range(1, total + 1)]


def test_tied_layers_rise_together(network: QuantizedNetwork, digits: Any) -> None:
    rises = measure(network, digits).rises
    for bits in CHOICES:
        tied = [rises[name, "activation", bits] for name in ("down.conv1", "down.shortcut.0")]
        assert tied[0] == tied[1]
    assert rises["down.conv1", "activation", 2] > 0


def test_an_entry_is_the_loss_with_that_tensor_alone(
    network: QuantizedNetwork, digits: Any
) -> None:
    table = measure(network, digits)
    items = Allocation.uniform(network.layers, 8).to_dict()
    items["layers"]["head"]["weight_bits"] = 2
    network.set_allocation(Allocation.from_dict(items))
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(
            network(digits.train_images[:300]), digits.train_labels[:300]
        )
    expected = float(loss) - table.base_loss
    assert table.rises["head", "weight", 2] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("bits", [None, 3])
def test_the_allocation_is_put_back(
    network: QuantizedNetwork, digits: Any, bits: int | None
) -> None:
    before = Allocation.uniform(network.layers, bits) if bits else None
    network.set_allocation(before)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    measure(network, digits)
    assert network.allocation == before
    assert all(torch.equal(v, state[name]) for name, v in network.state_dict().items())

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(network, digits, progress=stop)
    assert network.allocation == before


def test_json_gives_back_the_same_table(network: QuantizedNetwork, digits: Any) -> None:
    table = measure(network, digits)
    assert from_plain(SensitivityTable, json.loads(json.dumps(to_plain(table)))) == table


def test_no_images_are_refused(network: QuantizedNetwork, digits: Any) -> None:
    with pytest.raises(BitAllocError, match="at least one image"):
        measured_sensitivity(network, [], CHOICES)
    with pytest.raises(BitAllocError, match="at least one image"):
        measured_sensitivity(
            network, batches_of(digits.train_images[:0], digits.train_labels[:0]), CHOICES
        )
