"""Fronts: sets of reachable cost vectors, of which only the cheapest trade-offs are kept."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Front = npt.NDArray[np.int64]
"""int64 `[points, resources]`; every row is the cost of some real completion."""


def pareto_rows(points: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the rows of the points that no other one beats or equals in every column.

    Less is better. Of equal points one is left; the rows are in the order of their points, by the
    first column first.

    Args:
        points: `[points, columns]`, integers or floats.
    """
    columns = points.shape[1]
    if columns == 1 and len(points):
        first: npt.NDArray[np.int64] = points.argmin(axis=0)
        return first
    order: npt.NDArray[np.int64] = np.lexsort(points.T[::-1])
    ordered = points[order]
    if columns == 2:
        keep = np.ones(len(order), dtype=np.bool_)
        keep[1:] = ordered[1:, 1] < np.minimum.accumulate(ordered[:-1, 1])
        return order[keep]
    if columns == 3:
        return order[_pareto_of_three(ordered)]
    kept: list[int] = []
    for row, point in enumerate(ordered):
        if not (ordered[kept] <= point).all(axis=1).any():
            kept.append(row)
    return order[kept]


def _pareto_of_three(ordered: npt.NDArray[Any]) -> list[int]:
    """Walk the points by the first column, with the front of the other two so far as a stair.

    Source: Kung, Luccio and Preparata 1975, "On finding the maxima of a set of vectors", 3-D case.
    """
    seconds: list[float] = []  # ascending
    thirds: list[float] = []  # descending: the least third value up to that second one
    kept = []
    for row, (_, second, third) in enumerate(ordered.tolist()):
        before = bisect_right(seconds, second)
        if before and thirds[before - 1] <= third:
            continue
        kept.append(row)
        start = end = bisect_left(seconds, second)
        while end < len(seconds) and thirds[end] >= third:
            end += 1
        seconds[start:end], thirds[start:end] = [second], [third]
    return kept


def pareto_mask(points: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which points no other one beats, bool `[points]`; of equal ones all."""
    front = points[pareto_rows(points)]
    unbeaten: npt.NDArray[np.bool_] = (points[:, None] == front).all(axis=2).any(axis=1)
    return unbeaten


def pareto(points: Front) -> Front:
    """Drop every point that another one beats or equals in all resources."""
    return points[pareto_rows(points)]


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
