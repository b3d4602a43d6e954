"""Random allocations: every decision's bits drawn by themselves."""

from collections.abc import Sequence

import numpy as np

from env.decisions.space import decision_space
from experiments.errors import BenchError
from quant.allocation import Allocation
from quant.layers import MAX_BITS, MIN_BITS, LayerSpec

_EVERY_WIDTH = tuple(range(MIN_BITS, MAX_BITS + 1))


def random_allocations(
    layers: Sequence[LayerSpec], count: int, seed: int, widths: Sequence[int] = _EVERY_WIDTH
) -> list[Allocation]:
    """Draw `count` different allocations; tied tensors stay tied.

    Args:
        layers: The network's.
        count: The first of a larger count are the same.
        seed: Of the draws.
        widths: What each decision is drawn from.

    Raises:
        BenchError: the network has fewer allocations.
    """
    rng = np.random.default_rng(seed)
    space = decision_space(layers, widths)
    decisions = space.decisions
    if count > len(widths) ** len(decisions):
        raise BenchError(
            f"expected at most {len(widths) ** len(decisions)} different allocations of "
            f"{len(widths)} widths for {len(decisions)} decisions, found {count}",
            "ask for fewer",
        )
    found: dict[Allocation, None] = {}
    while len(found) < count:
        drawn = rng.integers(0, len(widths), len(decisions)).tolist()
        found[space.allocation([widths[index] for index in drawn])] = None
    return list(found)
