"""NoiseBench: retrainings of a task in pairs, and what follows from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from env.decisions.space import decision_space
from experiments.bench.noise.additive import (
    AdditiveModel,
    fit_additive,
    noise_power_columns,
    width_columns,
)
from experiments.bench.noise.bootstrap import Floats
from experiments.bench.noise.retraining import Retraining
from experiments.bench.noise.seed_spread import SeedSpread, seed_spread
from quant.layers import LayerSpec
from quant.objective.metric import Metric
from quant.quantizer import WIDTHS

_LEAST_LOSS = 1e-9
"""A loss of zero has no logarithm."""

Pair = tuple[Retraining, Retraining]
"""One allocation in two orders of the same images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedSpreads:
    """Spreads over retraining seeds."""

    score: SeedSpread
    """Of the task's metric."""
    loss: SeedSpread
    """Of the mean loss."""
    log_loss: SeedSpread
    """Of its natural logarithm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSpreads:
    """Standard errors over the images of the search split, means over retrainings."""

    score: float | None
    """Of one network's score; None where nobody knows it."""
    paired_score: float | None
    """Of the difference from all-8, image by image."""
    unpaired_score: float | None
    """Of the same difference, had the two been scored on different images."""
    paired_loss: float
    unpaired_loss: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AdditiveModels:
    """Sums of effects that explain one figure, the mean of both orders."""

    widths: AdditiveModel
    """One effect for each bit-width of each decision."""
    noise_power: AdditiveModel
    """One for each decision, times the power of its quantization noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseBench:
    """How noisy and how additive a task is; spreads and models are of the random allocations."""

    task: str
    seed: int
    images: int
    """Of the search split."""
    decisions: int
    """How many bit-widths an allocation decides."""
    widths: int
    """How many effects a model with one for each bit-width of each decision has."""
    seed_spreads: SeedSpreads
    trained_seed_spreads: SeedSpreads | None
    """Of those of which a training was kept; the others end alike whatever the order is."""
    uniform_seed_spreads: SeedSpreads
    """Of the uniform allocations, few as they are."""
    image_spreads: ImageSpreads
    trained: int
    """How many of the retrainings were kept."""
    additive_score: AdditiveModels
    additive_log_loss: AdditiveModels
    """Of the losses' natural logarithms."""
    uniform: tuple[Pair, ...]
    """From many bits to few."""
    random: tuple[Pair, ...]

    @property
    def metric(self) -> Metric:
        """What the scores are."""
        return self.random[0][0].score.metric


def summarise(
    layers: tuple[LayerSpec, ...],
    uniform: tuple[Pair, ...],
    random: tuple[Pair, ...],
    *,
    task: str,
    seed: int,
) -> NoiseBench:
    """Return what pairs of retrainings of one network show."""
    space = decision_space(layers, WIDTHS)
    choices = np.array([space.bits_of(first.allocation) for first, _ in random])
    trained = tuple(pair for pair in random if any(row.kept == "trained" for row in pair))
    spreads = _seed_spreads(random)
    return NoiseBench(
        task=task,
        seed=seed,
        images=random[0][0].score.count,
        decisions=len(space.decisions),
        widths=sum(len(np.unique(column)) - 1 for column in choices.T),
        seed_spreads=spreads,
        trained_seed_spreads=_seed_spreads(trained) if trained else None,
        uniform_seed_spreads=_seed_spreads(uniform),
        image_spreads=_image_spreads(random),
        trained=sum(row.kept == "trained" for pair in random for row in pair),
        additive_score=_fit(choices, scores(random), spreads.score),
        additive_log_loss=_fit(choices, log_losses(random), spreads.log_loss),
        uniform=uniform,
        random=random,
    )


def scores(pairs: tuple[Pair, ...]) -> Floats:
    """Return scores, float64 `[allocations, 2]`."""
    return np.array([[row.score.value for row in pair] for pair in pairs])


def losses(pairs: tuple[Pair, ...]) -> Floats:
    """Return mean losses, float64 `[allocations, 2]`."""
    return np.array([[row.score.loss for row in pair] for pair in pairs])


def log_losses(pairs: tuple[Pair, ...]) -> Floats:
    """Return the natural logarithms of `losses`."""
    logarithms: Floats = np.log(np.maximum(losses(pairs), _LEAST_LOSS))
    return logarithms


def _seed_spreads(pairs: tuple[Pair, ...]) -> SeedSpreads:
    return SeedSpreads(
        score=seed_spread(scores(pairs)),
        loss=seed_spread(losses(pairs)),
        log_loss=seed_spread(log_losses(pairs)),
    )


def _fit(choices: NDArray[np.int64], figures: Floats, spread: SeedSpread) -> AdditiveModels:
    values, noise_variance = figures.mean(1), spread.variance_of_mean
    return AdditiveModels(
        widths=fit_additive(width_columns(choices), values, noise_variance),
        noise_power=fit_additive(noise_power_columns(choices), values, noise_variance),
    )


def _image_spreads(pairs: tuple[Pair, ...]) -> ImageSpreads:
    rows = [row for pair in pairs for row in pair]
    differences = [row.beside_all_8 for row in rows]
    return ImageSpreads(
        score=_mean_known([row.score.standard_error for row in rows]),
        paired_score=_mean_known([each.score_se for each in differences]),
        unpaired_score=_mean_known([each.score_unpaired_se for each in differences]),
        paired_loss=_mean([each.loss_se for each in differences]),
        unpaired_loss=_mean([each.loss_unpaired_se for each in differences]),
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _mean_known(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None
