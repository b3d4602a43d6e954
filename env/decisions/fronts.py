"""Fronts: sets of reachable cost vectors, of which only the cheapest trade-offs are kept."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["Front", "add", "pareto", "thin", "union"]

Front = npt.NDArray[np.int64]
"""int64 `[points, resources]`; every row is the cost of some real completion."""


def pareto(points: Front) -> Front:
    """Drop every point that another one beats or equals in all of one to three resources."""
    if points.shape[1] == 1:
        smallest: Front = points.min(axis=0, keepdims=True)
        return smallest
    if points.shape[1] == 3:
        return _pareto_of_three(points)
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    best_before = np.minimum.accumulate(ordered[:, 1])
    keep = np.ones(len(ordered), dtype=np.bool_)
    keep[1:] = ordered[1:, 1] < best_before[:-1]
    return ordered[keep]


def _pareto_of_three(points: Front) -> Front:
    """Walk the points by the first resource, with the front of the other two so far as a stair.

    Source: Kung, Luccio and Preparata 1975, "On finding the maxima of a set of vectors", 3-D case.
    """
    ordered = points[np.lexsort((points[:, 2], points[:, 1], points[:, 0]))]
    seconds: list[int] = []  # ascending
    thirds: list[int] = []  # descending: the least third resource up to that second one
    keep = []
    for index, (_, second, third) in enumerate(ordered.tolist()):
        before = bisect_right(seconds, second)
        if before and thirds[before - 1] <= third:
            continue
        keep.append(index)
        start = end = bisect_left(seconds, second)
        while end < len(seconds) and thirds[end] >= third:
            end += 1
        seconds[start:end], thirds[start:end] = [second], [third]
    return ordered[keep]


def thin(front: Front, points: int) -> Front:
    """Keep about `points` of a front, the least of each resource among them.

    What is left are still real completions, so a mask made of them never allows too much.
    """
    if len(front) <= points:
        return front
    even = np.linspace(0, len(front) - 1, points).round().astype(np.int64)
    kept: Front = front[np.unique(np.concatenate([even, front.argmin(axis=0)]))]
    return kept


def add(first: Front, second: Front) -> Front:
    """Return all sums of a point of each front, `[len(first) * len(second), resources]`."""
    if len(first) == 1 or len(second) == 1:
        return first + second
    return (first[:, None, :] + second[None, :, :]).reshape(-1, first.shape[1])


def union(fronts: Iterable[Front]) -> Front:
    """Return the Pareto front of all points of several fronts."""
    return pareto(np.concatenate(list(fronts)))
