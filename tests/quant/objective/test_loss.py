"""Losses image by image, their means, and how far a teacher is."""

import pytest
import torch
from torch.nn import functional

from quant.objective.loss import (
    BINARY_CROSS_ENTROPY,
    CROSS_ENTROPY,
    MEAN_SQUARED_ERROR,
    Loss,
    cross_entropy,
    distance,
    divergence,
)
from quant.outputs import NamedTensors

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(6, 3, generator=GENERATOR)
CLASSES = torch.randint(3, (6,), generator=GENERATOR)
MAPS = torch.randn(6, 3, 4, 4, generator=GENERATOR)
LABEL_MAPS = torch.randint(3, (6, 4, 4), generator=GENERATOR)


@pytest.mark.parametrize(
    ("loss", "outputs", "labels"),
    [
        (CROSS_ENTROPY, LOGITS, CLASSES),
        (cross_entropy(255), MAPS, LABEL_MAPS),
        (MEAN_SQUARED_ERROR, MAPS, MAPS.flip(0)),
        (BINARY_CROSS_ENTROPY, LOGITS, (LOGITS.flip(0) > 0).float()),
    ],
)
def test_the_mean_is_that_of_single_images(
    loss: Loss, outputs: torch.Tensor, labels: torch.Tensor
) -> None:
    each = loss.each(outputs, labels)
    assert each.shape == (6,)
    alone = [float(loss.mean(outputs[i : i + 1], labels[i : i + 1])) for i in range(6)]
    assert each.tolist() == pytest.approx(alone, rel=1e-5)
    assert float(loss.mean(outputs, labels)) == pytest.approx(sum(alone) / 6, rel=1e-5)
    assert float(loss.total(outputs, labels)) == pytest.approx(sum(alone), rel=1e-5)


def test_pixels_that_are_ignored_count_for_nothing() -> None:
    labels = LABEL_MAPS.clone()
    labels[:, 0], labels[5] = 255, 255
    found = cross_entropy(255).each(MAPS, labels)
    expected = functional.cross_entropy(MAPS[:1, :, 1:], labels[:1, 1:])
    assert float(found[0]) == pytest.approx(float(expected), rel=1e-5)
    assert found[5] == 0.0  # an image that nothing is known of


def test_the_divergence_of_maps_is_the_mean_over_their_pixels() -> None:
    pixels = MAPS.movedim(1, -1).reshape(-1, 3), MAPS.flip(0).movedim(1, -1).reshape(-1, 3)
    found, expected = divergence(MAPS, MAPS.flip(0)), divergence(*pixels)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    assert float(divergence(MAPS, MAPS)) == pytest.approx(0.0, abs=1e-6)


def test_the_distance_has_no_scale_and_each_output_counts_the_same() -> None:
    taught = MAPS.flip(0)
    found = float(distance(MAPS, taught))
    assert float(distance(100 * MAPS, 100 * taught)) == pytest.approx(found, rel=1e-5)
    other = float(distance(LOGITS, LOGITS + 1))
    both = distance(
        NamedTensors((100 * MAPS, LOGITS), "ab"), NamedTensors((100 * taught, LOGITS + 1), "ab")
    )
    assert float(both) == pytest.approx((found + other) / 2, rel=1e-5)
    assert float(distance(MAPS, torch.ones_like(MAPS))) < float("inf")  # a constant teacher
