"""NoiseBench: retrainings of a task in pairs, and what follows from them."""

from dataclasses import dataclass

import numpy as np

from env.decisions.decisions import bits_of, decision_sequence
from experiments.bench.noise.additive import AdditiveModel, fit_additive
from experiments.bench.noise.bootstrap import Floats
from experiments.bench.noise.retraining import Retraining
from experiments.bench.noise.seed_spread import SeedSpread, seed_spread
from quant.layers import LayerSpec

_LEAST_LOSS = 1e-9
"""A loss of zero has no logarithm."""

Pair = tuple[Retraining, Retraining]
"""One allocation in two orders of the same images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedSpreads:
    """Spreads over retraining seeds."""

    accuracy: SeedSpread
    """Of 0..1."""
    loss: SeedSpread
    """Of the mean cross-entropy."""
    log_loss: SeedSpread
    """Of its natural logarithm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSpreads:
    """Standard errors over the images of the search split, means over retrainings."""

    accuracy: float
    """Of one network's accuracy."""
    paired_accuracy: float
    """Of the difference from all-8, image by image."""
    unpaired_accuracy: float
    """Of the same difference, had the two been scored on different images."""
    paired_loss: float
    unpaired_loss: float


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseBench:
    """How noisy and how additive a task is; spreads and models are of the random allocations."""

    task: str
    seed: int
    images: int
    """Of the search split."""
    decisions: int
    """How many bit-widths an allocation decides."""
    effects: int
    """How many numbers an additive model has for them, beside its constant."""
    seed_spreads: SeedSpreads
    uniform_seed_spreads: SeedSpreads
    """Of the uniform allocations, few as they are."""
    image_spreads: ImageSpreads
    trained: int
    """How many of the retrainings were kept."""
    additive_accuracy: AdditiveModel
    """Of the accuracies, means of both orders."""
    additive_log_loss: AdditiveModel
    """Of the losses' natural logarithms, means of both orders."""
    uniform: tuple[Pair, ...]
    """From many bits to few."""
    random: tuple[Pair, ...]


def summarise(
    layers: tuple[LayerSpec, ...],
    uniform: tuple[Pair, ...],
    random: tuple[Pair, ...],
    *,
    task: str,
    seed: int,
) -> NoiseBench:
    """Return what pairs of retrainings of one network show."""
    decisions = decision_sequence(layers)
    choices = np.array([bits_of(decisions, first.allocation) for first, _ in random])
    spreads = _seed_spreads(random)
    return NoiseBench(
        task=task,
        seed=seed,
        images=random[0][0].accuracy.count,
        decisions=len(decisions),
        effects=sum(len(np.unique(column)) - 1 for column in choices.T),
        seed_spreads=spreads,
        uniform_seed_spreads=_seed_spreads(uniform),
        image_spreads=_image_spreads(random),
        trained=sum(row.kept == "trained" for pair in random for row in pair),
        additive_accuracy=fit_additive(
            choices, accuracies(random).mean(1), spreads.accuracy.variance_of_mean
        ),
        additive_log_loss=fit_additive(
            choices, log_losses(random).mean(1), spreads.log_loss.variance_of_mean
        ),
        uniform=uniform,
        random=random,
    )


def accuracies(pairs: tuple[Pair, ...]) -> Floats:
    """Return accuracies 0..1, float64 `[allocations, 2]`."""
    return np.array([[row.accuracy.value for row in pair] for pair in pairs])


def losses(pairs: tuple[Pair, ...]) -> Floats:
    """Return mean cross-entropies, float64 `[allocations, 2]`."""
    return np.array([[row.accuracy.loss for row in pair] for pair in pairs])


def log_losses(pairs: tuple[Pair, ...]) -> Floats:
    """Return the natural logarithms of `losses`."""
    logarithms: Floats = np.log(np.maximum(losses(pairs), _LEAST_LOSS))
    return logarithms


def _seed_spreads(pairs: tuple[Pair, ...]) -> SeedSpreads:
    return SeedSpreads(
        accuracy=seed_spread(accuracies(pairs)),
        loss=seed_spread(losses(pairs)),
        log_loss=seed_spread(log_losses(pairs)),
    )


def _image_spreads(pairs: tuple[Pair, ...]) -> ImageSpreads:
    rows = [row for pair in pairs for row in pair]
    differences = [row.beside_all_8 for row in rows]
    return ImageSpreads(
        accuracy=_mean([row.accuracy.standard_error for row in rows]),
        paired_accuracy=_mean([each.accuracy_se for each in differences]),
        unpaired_accuracy=_mean([each.accuracy_unpaired_se for each in differences]),
        paired_loss=_mean([each.loss_se for each in differences]),
        unpaired_loss=_mean([each.loss_unpaired_se for each in differences]),
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
