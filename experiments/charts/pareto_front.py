"""Pareto front: which of several points no other one beats."""

import numpy as np
import numpy.typing as npt

__all__ = ["pareto_front"]


def pareto_front(points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which points are on the Pareto front; equal ones are all on it.

    Args:
        points: float64 `[N, measures]`; less is better in each.

    Returns:
        bool `[N]`.
    """
    reaches = np.all(points[None, :] <= points[:, None], axis=2)
    betters = np.any(points[None, :] < points[:, None], axis=2)
    beaten: npt.NDArray[np.bool_] = np.any(reaches & betters, axis=1)
    return np.logical_not(beaten)
