"""Staged retraining: decision by decision, never worse than its start, the same however walked."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from quant.allocation import Allocation, LayerBits
from quant.errors import TrainingError
from quant.network import QuantizedNetwork
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.retrainer import Retrainer
from quant.retraining.staged import StagedRetraining
from quant.testing import at_bits

QUICK = FinetuneConfig(
    steps=14, batch_size=32, compensation_images=48, held_back_images=150, range_test=False
)


def retrainer(network: QuantizedNetwork, digits: Any, config: FinetuneConfig = QUICK) -> Retrainer:
    return Retrainer(network, digits.train_images, digits.train_labels, config)


def allocations(network: QuantizedNetwork, bits: Sequence[int]) -> list[Allocation]:
    """Return weights decided after each layer; those that are not, and all tensors, have 8 bits."""
    found = []
    for decided in range(1, len(bits) + 1):
        widths = [*bits[:decided], *[8] * (len(network.layers) - decided)]
        pairs = (LayerBits(weight_bits=width, activation_bits=8) for width in widths)
        found.append(
            Allocation(tuple(zip((layer.name for layer in network.layers), pairs, strict=True)))
        )
    return found


def go(staged: StagedRetraining, network: QuantizedNetwork, bits: Sequence[int]) -> list[float]:
    """Decide layer after layer; return the looks."""
    steps = zip(network.layers, allocations(network, bits), strict=False)
    return [staged.decide(allocation, [layer.name]).loss for layer, allocation in steps]


def begin(network: QuantizedNetwork, digits: Any, config: FinetuneConfig = QUICK) -> Any:
    basis = retrainer(network, digits, config).basis
    return StagedRetraining(basis, decisions=len(network.layers), seed=3)


def test_looks_show_what_decisions_cost(network: QuantizedNetwork, digits: Any) -> None:
    at_bits(network, 8)
    eight = go(begin(network, digits), network, [8] * len(network.layers))
    two = go(begin(network, digits), network, [2] * len(network.layers))
    rises = [low - high for low, high in zip(two, eight, strict=True)]
    assert rises[-1] > 0.05
    assert rises[-1] > rises[0]


def test_what_is_decided_later_changes_nothing_before(
    network: QuantizedNetwork, digits: Any
) -> None:
    at_bits(network, 8)
    count = len(network.layers)
    one = go(begin(network, digits), network, [2, 4, *[2] * (count - 2)])
    other = go(begin(network, digits), network, [2, 4, *[8] * (count - 2)])
    assert one[:2] == other[:2]
    assert one[-1] != other[-1]


def test_a_fork_goes_on_as_the_whole_walk_would(network: QuantizedNetwork, digits: Any) -> None:
    at_bits(network, 8)
    bits = [3] * len(network.layers)
    whole = begin(network, digits)
    looks = go(whole, network, bits)
    trunk = begin(network, digits)
    steps = list(zip(network.layers, allocations(network, bits), strict=True))
    for layer, allocation in steps[:2]:
        trunk.decide(allocation, [layer.name])
    branch, stray = trunk.fork(), trunk.fork()
    stray.decide(allocations(network, [3, 3, 2])[2], [network.layers[2].name])
    found = [branch.decide(allocation, [layer.name]).loss for layer, allocation in steps[2:]]
    assert found == looks[2:]
    for twin in (whole, branch):
        twin.finish()
    states = whole.network.state_dict(), branch.network.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("rate", [1.0, None])
def test_the_end_is_never_worse_than_its_start(
    network: QuantizedNetwork, digits: Any, rate: float | None
) -> None:
    at_bits(network, 8)
    staged = begin(network, digits, replace(QUICK, learning_rate=rate))
    try:
        go(staged, network, [3] * len(network.layers))
    except TrainingError:
        assert rate == 1.0  # which no network survives
        return
    retrained = staged.finish()
    assert retrained.start_loss is not None
    if retrained.kept == "trained":
        assert retrained.trained_loss is not None
        assert retrained.trained_loss < retrained.start_loss
    start = network.clone()
    start.set_allocation(staged.network.allocation)
    retrainer(network, digits, replace(QUICK, steps=0)).retrain(start, seed=0)
    same = all(
        torch.equal(value, staged.network.state_dict()[name])
        for name, value in start.state_dict().items()
        if name.endswith("weight")
    )
    assert same == (retrained.kept == "start")


def test_without_images_to_look_at_it_is_refused(network: QuantizedNetwork, digits: Any) -> None:
    at_bits(network, 8)
    with pytest.raises(TrainingError, match="held back to look at during the retraining, found no"):
        begin(network, digits, replace(QUICK, held_back_images=0))
