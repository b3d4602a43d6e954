"""Statistics of regrets: the mean of the middle half, and how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_DRAWS = 2000
_SEED = 0
_LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An interquartile mean with its 95 % bootstrap interval over seeds."""

    iqm: float
    low: float
    high: float


def interquartile_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean of the middle half of the last axis; values at its ends count in part.

    Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical
    Precipice" (NeurIPS), section 4.3.

    Args:
        values: `[..., N]`.
    """
    ordered = np.sort(values, axis=-1)
    count = ordered.shape[-1]
    edges = np.arange(count + 1) / count
    inside = np.clip(np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25), 0, None)
    result: npt.NDArray[np.float64] = ordered @ (inside / inside.sum())
    return result


def interval_of(values: Sequence[float]) -> Interval:
    """Return the interquartile mean of one value for each seed, and its interval."""
    found = np.asarray(values, dtype=np.float64)
    means = interquartile_mean(found[_resampled(len(found))])
    low, high = np.quantile(means, ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2))
    return Interval(iqm=float(interquartile_mean(found)), low=float(low), high=float(high))


def paired_interval(values: Sequence[float], others: Sequence[float]) -> Interval:
    """Return the difference of two interquartile means over the same seeds, and its interval.

    The seeds are drawn for both at once: what a seed makes hard for one, it makes hard for the
    other.
    """
    one, two = (np.asarray(part, dtype=np.float64) for part in (values, others))
    draws = _resampled(len(one))
    differences = interquartile_mean(one[draws]) - interquartile_mean(two[draws])
    low, high = np.quantile(differences, ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2))
    iqm = float(interquartile_mean(one) - interquartile_mean(two))
    return Interval(iqm=iqm, low=float(low), high=float(high))


def _resampled(count: int) -> npt.NDArray[np.int64]:
    """Return positions of as many draws with replacement, `[draws, count]`."""
    return np.random.default_rng(_SEED).integers(count, size=(_DRAWS, count))
