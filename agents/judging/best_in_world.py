"""best_in_world: who proposes by sums, where decisions may do something together."""

from collections.abc import Callable

from env.responses.columns import Floats
from env.responses.posterior import ResponsePosterior
from quant.allocation import Allocation

Finder = Callable[[Floats], Allocation | None]
"""Finds an allocation inside the budget that loses least, None where there is none, by the quality
lost of each decision at each of the space's widths."""

_ROUNDS = 4
"""Times that the world is looked at from where the last look at it led."""


def best_in_world(
    posterior: ResponsePosterior, find: Finder, sample: int | None = None
) -> Allocation | None:
    """Return what loses least in a world that a posterior believes in, None where `find` has none.

    Where losses are sums, it is what `find` finds. Else the sums are those near what was found
    last, again and again, and the best by all terms is taken: no optimum is promised.

    Args:
        posterior: What is believed.
        find: Finds what is best by a sum.
        sample: Number of the world; None for the mean.
    """
    table = posterior.mean_table if sample is None else posterior.tables[sample]
    best = centre = find(table)
    if posterior.pairs is None:
        return best

    def lost(allocation: Allocation) -> float:
        if sample is None:
            return float(posterior.mean_losses([allocation])[0])
        return float(posterior.sampled_losses([allocation])[sample, 0])

    for _ in range(_ROUNDS):
        if best is None or centre is None:
            break
        found = find(posterior.table_near(sample, centre))
        if found is None or found == centre:
            break
        if lost(found) < lost(best):
            best = found
        centre = found
    return best
