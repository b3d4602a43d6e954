"""Hypervolume: one number for a method's answers to all budgets, with its uncertainty.

The axes were fixed before any run: test accuracy, and latency as a share of all-8's. The reference
point is the accuracy of guessing and a latency of 1. An answer that is slower than all-8, or no
better than guessing, adds nothing.

Source: Zitzler and Thiele 1998, "Multiobjective Optimization Using Evolutionary Algorithms: A
Comparative Case Study", section 4 (the size of the space covered); Efron 1979, "Bootstrap Methods:
Another Look at the Jackknife".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.compare.rows import Answer, Row

_REFERENCE_LATENCY = 1.0
_RESAMPLES = 2000
_LEVEL = 0.95
_SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class HypervolumeEstimate:
    """Mean over the seeds, and the ends of the bootstrap interval of 95 %."""

    mean: float
    low: float
    high: float
    seeds: int


def hypervolume(points: Sequence[tuple[float, float]], chance: float) -> float:
    """Return the area between the reference point and the front of some points.

    Args:
        points: (accuracy, latency ratio) of each.
        chance: Accuracy of guessing, the reference point's.
    """
    area, floor = 0.0, chance
    # From the slowest to the fastest would count areas twice; each point adds what lies above the
    # accuracies of all faster ones, as wide as its distance from the reference latency.
    for accuracy, ratio in sorted(points, key=lambda point: (point[1], -point[0])):
        if ratio < _REFERENCE_LATENCY and accuracy > floor:
            area += (accuracy - floor) * (_REFERENCE_LATENCY - ratio)
            floor = accuracy
    return area


def estimate_hypervolume(
    rows: Sequence[Row], all_8_ms: float, chance: float, test_images: int
) -> HypervolumeEstimate:
    """Return one method's hypervolume over its seeds.

    Seeds are drawn with replacement, and the number of test images that an answer gets right is
    drawn anew (binomial), as another test set would have done.

    Args:
        rows: Finished jobs of one method.
        all_8_ms: Latency of all-8.
        chance: Accuracy of guessing.
        test_images: Size of the test split.
    """
    answers: dict[int, list[Answer]] = {}
    for row in rows:
        answers.setdefault(row.seed, []).extend([] if row.answer is None else [row.answer])
    of_seeds = list(answers.values())
    measured = [hypervolume(_points(found, all_8_ms), chance) for found in of_seeds]
    rng = np.random.default_rng(_SEED)
    resampled = []
    for _ in range(_RESAMPLES):
        drawn = rng.integers(len(of_seeds), size=len(of_seeds))
        areas = [
            hypervolume(_points(of_seeds[index], all_8_ms, rng, test_images), chance)
            for index in drawn
        ]
        resampled.append(float(np.mean(areas)))
    low, high = np.quantile(resampled, ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2))
    return HypervolumeEstimate(
        mean=float(np.mean(measured)), low=float(low), high=float(high), seeds=len(of_seeds)
    )


def _points(
    answers: Sequence[Answer],
    all_8_ms: float,
    rng: np.random.Generator | None = None,
    test_images: int = 0,
) -> list[tuple[float, float]]:
    return [
        (
            answer.test_accuracy
            if rng is None
            else float(rng.binomial(test_images, answer.test_accuracy)) / test_images,
            answer.latency_ms / all_8_ms,
        )
        for answer in answers
    ]
