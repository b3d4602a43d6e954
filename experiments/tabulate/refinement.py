"""Refinement: more retrainings of what a budget's best is looked for among."""

from collections.abc import Sequence

from experiments.truth.table import FINALISTS, SURE, TruthTable

BUDGETS = (0.05, 0.15, 0.3)
"""Shares of the way from the fastest allocation's time to all-8's."""
_NEAR = 0.03
"""Accuracy below a budget's best up to which an allocation gets `_NEAR_SEEDS`."""
_NEAR_SEEDS = 3


def refined_seeds(
    table: TruthTable, budgets: Sequence[float] = BUDGETS
) -> list[tuple[int, list[int]]]:
    """Return each seed with the numbers of the allocations that it is wanted of.

    What is worth most comes first, for time may run out: all seeds of the best, then the third of
    those near to them.

    Args:
        table: With at least two rows of every allocation, and the times that budgets are made of.
        budgets: That it will be searched under.
    """
    best, near = set[int](), set[int]()
    for share in budgets:
        inside = table.inside(share)
        scores = table.mean_scores[inside]
        best.update(inside[(-scores).argsort(kind="stable")].tolist()[:FINALISTS])
        near.update(inside[scores >= scores.max() - _NEAR].tolist())
    return [
        *((seed, sorted(best)) for seed in reversed(range(SURE))),
        *((seed, sorted(near - best)) for seed in reversed(range(_NEAR_SEEDS))),
    ]
