"""Statistics of regrets: the mean of the middle half, and how sure it is."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

Floats = npt.NDArray[np.float64]

_DRAWS = 2000
_SEED = 0
_LEVEL = 0.95
_LEAST = 2
_LEAST_REGRET = 1e-12
"""Means that are smaller are no regret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An interquartile mean with its 95 % bootstrap interval, and what it does not show."""

    iqm: float
    low: float
    high: float
    mean: float
    """The plain mean: where it is far from the other one, some seeds are far from the rest."""
    worst: float
    """Mean of the worst tenth."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Regrets:
    """Regrets of one method, a seed each, and how well the truth of its answers is known."""

    values: tuple[float, ...]
    answers: tuple[Hashable, ...] = ()
    """Equal ones share their truth, and its error; without any, all are known exactly."""
    errors: tuple[float, ...] = ()
    """Standard error of each answer's truth."""

    def __len__(self) -> int:
        """Return the number of seeds."""
        return len(self.values)


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


def interval_of(regrets: Regrets) -> Interval:
    """Return the interquartile mean of one value for each seed, and its interval.

    A hundred seeds that end at one answer know no more of it than its few retrainings do: in each
    resampling an answer's truth is moved by its error, for all seeds that end there.
    """
    (moved,) = _resampled(regrets)
    found = np.asarray(regrets.values, dtype=np.float64)
    return _interval(_summary(found), interquartile_mean(moved), len(regrets))


def summed_interval(
    one: Sequence[Regrets], two: Sequence[Regrets], *, ratio: bool = False
) -> Interval:
    """Return the interval of one method's regrets less another's, summed over some budgets.

    The seeds are drawn for both at once, and answers are moved for both at once: what a seed or an
    answer's truth makes of one, it makes of the other.

    Args:
        one: A method's regrets, a budget each; answers of one table, so that equal ones are one.
        two: Another's, of the same seeds.
        ratio: Whether the means are divided, not subtracted: infinite where `two` has no regret.
    """

    def compared(first: Floats, second: Floats) -> Floats:
        return _ratio(first, second) if ratio else first - second

    resampled = _resampled(*one, *two)
    drawn = (np.sum(parts, axis=0) for parts in (resampled[: len(one)], resampled[len(one) :]))
    found = (np.sum([part.values for part in parts], axis=0) for parts in (one, two))
    summary = compared(*map(_summary, found))
    return _interval(summary, compared(*map(interquartile_mean, drawn)), len(one[0]))


def _ratio(one: Floats, two: Floats) -> Floats:
    """Return quotients; infinite ones where there is nothing to be so many times of."""
    some = two > _LEAST_REGRET
    quotients: Floats = np.where(some, one / np.where(some, two, 1.0), np.inf)
    return quotients


def _summary(values: Floats) -> Floats:
    """Return the interquartile mean, the mean and the mean of the worst tenth."""
    worst = np.sort(values)[-max(1, len(values) // 10) :]
    return np.array([interquartile_mean(values), values.mean(), worst.mean()])


def _interval(summary: Floats, drawn: Floats, count: int) -> Interval:
    iqm, mean, worst = map(float, summary)
    tail = _tail(count)
    with np.errstate(invalid="ignore"):
        ends = np.quantile(drawn, (tail, 1 - tail))
    low, high = np.where(np.isnan(ends), np.inf, ends)  # between a ratio and an infinite one
    return Interval(iqm=iqm, low=float(low), high=float(high), mean=mean, worst=worst)


def _tail(count: int) -> float:
    """Return how much of the draws lies on each side of an interval.

    Few values vary too little when they are drawn from themselves, and a t-distribution is wider
    than a normal one.
    Source: Hesterberg 2015, "What Teachers Should Know About the Bootstrap" (The American
    Statistician 69), section 5.1: the expanded percentile interval.
    """
    tail = (1 - _LEVEL) / 2
    if count < _LEAST:
        return tail
    return float(norm.cdf(math.sqrt(count / (count - 1)) * t.ppf(tail, count - 1)))


def _resampled(*parts: Regrets) -> list[Floats]:
    """Return values of as many seeds with replacement, answers moved, `[draws, seeds]` each."""
    rng, count = np.random.default_rng(_SEED), len(parts[0])
    draws = rng.integers(count, size=(_DRAWS, count))
    errors = {
        answer: error
        for part in parts
        for answer, error in zip(part.answers, part.errors, strict=True)
    }
    place = {answer: number for number, answer in enumerate(errors)}
    moves = rng.standard_normal((_DRAWS, len(errors))) * np.array(list(errors.values()))
    found = []
    for part in parts:
        values = np.asarray(part.values, dtype=np.float64)[draws]
        if part.answers:
            at = np.array([place[answer] for answer in part.answers])
            values = values + np.take_along_axis(moves, at[draws], axis=1)
        found.append(values)
    return found
