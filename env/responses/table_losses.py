"""table_losses: what allocations lose by a table of responses."""

from collections.abc import Sequence

import numpy as np

from env.decisions.decisions import DecisionSpace
from env.responses.columns import Floats
from quant.allocation import Allocation


def table_losses(space: DecisionSpace, table: Floats, allocations: Sequence[Allocation]) -> Floats:
    """Return the sum of each allocation's responses, `[allocations]`.

    Args:
        space: What may be decided.
        table: Quality lost of each decision at each of `space.widths`, `[decisions, widths]`.
        allocations: Of the space.
    """
    column = {bits: place for place, bits in enumerate(space.widths)}
    steps = np.arange(len(space.decisions))
    chosen = ([column[bits] for bits in space.bits_of(one)] for one in allocations)
    return np.array([table[steps, columns].sum() for columns in chosen])
