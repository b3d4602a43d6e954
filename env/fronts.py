"""Fronts: sets of reachable cost vectors, of which only the cheapest trade-offs are kept."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["Front", "add", "pareto", "thin", "union"]

Front = npt.NDArray[np.int64]
"""int64 `[points, resources]`; every row is the cost of some real completion."""


def pareto(points: Front) -> Front:
    """Drop every point that another one beats or equals in all of one or two resources."""
    if points.shape[1] == 1:
        smallest: Front = points.min(axis=0, keepdims=True)
        return smallest
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    best_before = np.minimum.accumulate(ordered[:, 1])
    keep = np.ones(len(ordered), dtype=np.bool_)
    keep[1:] = ordered[1:, 1] < best_before[:-1]
    return ordered[keep]


def thin(front: Front, points: int) -> Front:
    """Keep at most `points` of a front, both ends among them.

    What is left are still real completions, so a mask made of them never allows too much.
    """
    if len(front) <= points:
        return front
    return front[np.unique(np.linspace(0, len(front) - 1, points).round().astype(np.int64))]


def add(first: Front, second: Front) -> Front:
    """Return all sums of a point of each front, `[len(first) * len(second), resources]`."""
    if len(first) == 1 or len(second) == 1:
        return first + second
    return (first[:, None, :] + second[None, :, :]).reshape(-1, first.shape[1])


def union(fronts: Iterable[Front]) -> Front:
    """Return the Pareto front of all points of several fronts."""
    return pareto(np.concatenate(list(fronts)))
