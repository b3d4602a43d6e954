"""Refinement: more retrainings of what a budget's best is looked for among."""

from collections.abc import Sequence

from experiments.truth.table import FINALISTS, SURE, TruthTable

BUDGETS = (0.05, 0.15, 0.3)
"""Shares of the way from the fastest allocation's time to all-8's."""
_NEAR = 0.03
"""Accuracy below a budget's best up to which an allocation gets `_NEAR_SEEDS`."""
_NEAR_SEEDS = 3


def refined_seeds(table: TruthTable, budgets: Sequence[float] = BUDGETS) -> dict[int, list[int]]:
    """Return the numbers of the allocations that each seed is wanted of, by seed.

    The last seed first: it is wanted of the best alone, which are worth most where time runs out.

    Args:
        table: With at least two rows of every allocation, and the times that budgets are made of.
        budgets: That it will be searched under.
    """
    seeds: dict[int, int] = {}
    for share in budgets:
        inside = table.inside(share)
        scores = table.mean_scores[inside]
        ordered = inside[(-scores).argsort(kind="stable")].tolist()
        near = inside[scores >= scores.max() - _NEAR].tolist()
        for number in near:
            seeds[number] = max(seeds.get(number, 0), _NEAR_SEEDS)
        for number in ordered[:FINALISTS]:
            seeds[number] = SURE
    return {
        seed: sorted(number for number, count in seeds.items() if count > seed)
        for seed in reversed(range(SURE))
    }
