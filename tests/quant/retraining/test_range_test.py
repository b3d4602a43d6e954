"""The range test: when values move further, and that it depends on nothing trained before."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from quant.network import QuantizedNetwork
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.range_test import find_least_reach
from quant.retraining.retrainer import Retrainer
from quant.testing import at_bits, prepare_calibrated

SHORT = FinetuneConfig(steps=12, batch_size=32, compensation_images=48, held_back_images=150)


@pytest.mark.parametrize(
    ("near", "far", "least"),
    [
        (0.9, 0.8, 3.0),
        (0.9, 0.95, 0.0),
        (0.9, 0.895, 0.0),  # by chance
        (1.2, 1.1, 0.0),  # both are worse than the start
        (None, 0.8, 3.0),
        (0.9, None, 0.0),
        (0.9, float("nan"), 0.0),
    ],
)
def test_further_only_where_that_is_better(
    near: float | None, far: float | None, least: float
) -> None:
    assert find_least_reach(lambda reach: far if reach else near, start_loss=1.0) == least


def test_a_network_of_other_images_moves_further(trained_net: nn.Module, digits: Any) -> None:
    """Made for digits, used on their mirror images: much to learn, little of it for the bits."""
    mirrored = digits.train_images.flip(-1)
    network = prepare_calibrated(trained_net, mirrored[:200])
    longer = replace(SHORT, steps=40)
    found = {}
    for tested in (False, True):
        config = replace(longer, range_test=tested)
        retrainer = Retrainer(network, mirrored, digits.train_labels, config)
        found[tested] = retrainer.retrain(at_bits(network.clone(), 8), seed=3)
    assert (found[False].reach, found[True].reach) == (0.05, 3.0)
    near, far = found[False].trained_loss, found[True].trained_loss
    assert near is not None
    assert far is not None
    assert far < 0.8 * near


def test_it_depends_on_nothing_that_was_trained_before(
    network: QuantizedNetwork, digits: Any
) -> None:
    def retrained_at(*widths: int) -> dict[str, torch.Tensor]:
        retrainer = Retrainer(network, digits.train_images, digits.train_labels, SHORT)
        for bits in widths:
            retrainer.reset(trained)
            at_bits(trained, bits)
            retrainer.retrain(trained, seed=3)
        return trained.copy_state()

    trained = network.clone()
    alone, last = retrained_at(2), retrained_at(8, 3, 2)
    assert all(torch.equal(value, last[name]) for name, value in alone.items())


def test_progress_counts_the_test_and_the_training_after_it(
    network: QuantizedNetwork, digits: Any
) -> None:
    """Nobody waits for two trainings that nothing is said of."""
    retrainer = Retrainer(network, digits.train_images, digits.train_labels, SHORT)

    def note(seen: list[tuple[int, int]], done: int, whole: int) -> None:
        seen.append((done, whole))

    for trainings in (3, 1):
        seen: list[tuple[int, int]] = []
        trained = network.clone()
        at_bits(trained, 4)
        retrainer.retrain(trained, seed=3, progress=partial(note, seen))
        total = trainings * SHORT.steps
        assert {whole for _, whole in seen} == {total}
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1] == (total, total)


def test_no_test_where_a_rate_is_named(network: QuantizedNetwork, digits: Any) -> None:
    assert SHORT.tests_range
    for other in (
        replace(SHORT, learning_rate=1e-3),
        replace(SHORT, held_back_images=0),
        replace(SHORT, range_test=False),
    ):
        assert not other.tests_range
