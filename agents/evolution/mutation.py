"""Mutation: one decision a level down, another a level up, still inside the budget."""

import numpy as np

from agents.costs.spending import Columns, Spending


def mutate(columns: Columns, spending: Spending, swaps: int, rng: np.random.Generator) -> Columns:
    """Return changed columns inside the budget, with little of it left over.

    Levels are swapped; what is then outside loses levels of random decisions, and what is left of
    the budget is filled by random ones. The published swaps are between layers of equal size, which
    keeps the budget by itself; times are not so even.

    Args:
        columns: The parent, inside or not.
        spending: The budget.
        swaps: Most of them; how many is the smaller of two draws.
        rng: Decides.
    """
    changed = columns.copy()
    for _ in range(int(rng.integers(1, swaps + 1, 2).min())):
        lower = np.flatnonzero(changed > 0)
        if len(lower):
            changed[rng.choice(lower)] -= 1
        higher = np.flatnonzero(changed < spending.choices - 1)
        if len(higher):
            changed[rng.choice(higher)] += 1
    while not spending.inside(changed):
        lower = np.flatnonzero(changed > 0)
        if not len(lower):
            return spending.nearest(changed)  # fewer bits may cost more
        changed[rng.choice(lower)] -= 1
    for decision in rng.permutation(len(changed)):
        if changed[decision] < spending.choices[decision] - 1:
            changed[decision] += 1
            if not spending.inside(changed):
                changed[decision] -= 1
    return changed
