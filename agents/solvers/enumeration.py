"""Enumeration: every solution of a small problem side by side, so that nothing need be solved."""

from functools import lru_cache

import numpy as np

from agents.solvers.choice_problem import ChoiceProblem, Floats, Integers, Pair

MOST = 50_000
"""Solutions up to which looking at all takes less time than one integer program."""
_Shape = tuple[tuple[tuple[int | None, int | None], tuple[Pair, ...]], ...]
"""Decisions and pairs of each layer: what is the same whatever losses and costs are."""


def enumerate_picks(problem: ChoiceProblem) -> Integers | None:
    """Return all picks that agree where layers are tied, `[solutions, layers]`, limits or not.

    None where there are more than `MOST`.
    """
    return _joined(tuple((layer.steps, layer.pairs) for layer in problem.layers))


def total_losses(problem: ChoiceProblem, picks: Integers) -> Floats:
    """Return the sum of losses of each row of picks, `[solutions]`."""
    total = np.zeros(len(picks))
    for layer, chosen in zip(problem.layers, picks.T, strict=True):
        total += layer.losses[chosen]
    return total


def total_costs(problem: ChoiceProblem, picks: Integers) -> Integers:
    """Return the sums of costs of each row of picks, `[solutions, resources]`."""
    total = np.zeros((len(picks), len(problem.limits)), dtype=np.int64)
    for layer, chosen in zip(problem.layers, picks.T, strict=True):
        total += layer.costs[chosen]
    return total


@lru_cache(maxsize=32)
def _joined(shape: _Shape) -> Integers | None:
    """Join layer after layer: a row goes on with each pair whose known widths are its own."""
    picks = np.zeros((1, 0), dtype=np.int64)
    known: dict[int, Integers] = {}
    for steps, pairs in shape:
        if len(picks) * len(pairs) > MOST * 64:
            return None
        rows = np.repeat(np.arange(len(picks)), len(pairs))
        chosen = np.tile(np.arange(len(pairs)), len(picks))
        joined = {step: widths[rows] for step, widths in known.items()}
        agrees = np.ones(len(rows), dtype=np.bool_)
        for step, widths in zip(steps, np.array(pairs).T, strict=True):
            if step is not None:
                agrees &= joined.setdefault(step, widths[chosen]) == widths[chosen]
        known = {step: widths[agrees] for step, widths in joined.items()}
        picks = np.column_stack([picks[rows[agrees]], chosen[agrees]])
        if len(picks) > MOST:
            return None
    return picks
