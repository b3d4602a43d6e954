"""Hypervolume: one number for a method's answers to all budgets, with its uncertainty.

The axes were fixed before any run: test accuracy (of another metric its quality), and latency as a
share of all-8's. The reference point is the accuracy of guessing and a latency of 1. An answer that
is slower than all-8, or no better than guessing, adds nothing.

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
        points: (quality, latency ratio) of each.
        chance: Quality of guessing, the reference point's.
    """
    area, floor = 0.0, chance
    # From the slowest to the fastest would count areas twice; each point adds what lies above the
    # qualities of all faster ones, as wide as its distance from the reference latency.
    for quality, ratio in sorted(points, key=lambda point: (point[1], -point[0])):
        if ratio < _REFERENCE_LATENCY and quality > floor:
            area += (quality - floor) * (_REFERENCE_LATENCY - ratio)
            floor = quality
    return area


def estimate_hypervolume(
    rows: Sequence[Row], all_8_ms: float, chance: float
) -> HypervolumeEstimate:
    """Return one method's hypervolume over its seeds.

    Seeds are drawn with replacement, and each answer's score is drawn anew by its standard error
    (normal), as another test set would have done.

    Args:
        rows: Finished jobs of one method.
        all_8_ms: Latency of all-8.
        chance: Quality of guessing.
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
        areas = [hypervolume(_points(of_seeds[index], all_8_ms, rng), chance) for index in drawn]
        resampled.append(float(np.mean(areas)))
    low, high = np.quantile(resampled, ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2))
    return HypervolumeEstimate(
        mean=float(np.mean(measured)), low=float(low), high=float(high), seeds=len(of_seeds)
    )


def _points(
    answers: Sequence[Answer], all_8_ms: float, rng: np.random.Generator | None = None
) -> list[tuple[float, float]]:
    return [
        (
            answer.test_quality + (0.0 if rng is None else rng.normal(0.0, answer.test_quality_se)),
            answer.latency_ms / all_8_ms,
        )
        for answer in answers
    ]
