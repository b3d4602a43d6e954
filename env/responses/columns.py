"""ResponseColumns: the hidden responses of a network, one for each decision and width below 8."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from env.decisions.decisions import Decision, DecisionSpace
from env.responses.layer_facts import FACTS, layer_facts
from env.sensitivity.sensitivities import Sensitivities, decision_rise, rise_of
from quant.allocation import Allocation
from quant.layers import MAX_BITS

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownColumns:
    """What is known of each response before anything was evaluated."""

    of: Integers
    """`[columns]`: number of the decision."""
    bits: Integers
    """`[columns]`: the width."""
    rises: Floats
    """`[columns]`: how far the loss rises there, as the sensitivities say."""
    facts: Floats
    """`[columns, len(FACTS)]`: what the decision's layer is."""

    def __len__(self) -> int:
        """Return the number of responses."""
        return len(self.of)


@dataclass(frozen=True, kw_only=True, eq=False)
class ResponseColumns(KnownColumns):
    """Which responses a network has.

    At 8 bits and in float a decision loses nothing: there is no column. What rules fix below
    8 bits is in every allocation: its columns come last, each a decision of its own, with numbers
    from `len(space.decisions)` on.
    """

    space: DecisionSpace

    @cached_property
    def at(self) -> dict[tuple[int, int], int]:
        """The column of each (decision, width) that has one."""
        pairs = zip(self.of.tolist(), self.bits.tolist(), strict=True)
        return {pair: column for column, pair in enumerate(pairs)}

    @cached_property
    def fixed(self) -> Integers:
        """Columns that every allocation has."""
        return np.flatnonzero(self.of >= len(self.space.decisions))

    def rows(self, allocations: Iterable[Allocation]) -> Floats:
        """Return 1 where an allocation has a response, else 0: `[allocations, columns]`."""
        chosen = [self.space.bits_of(allocation) for allocation in allocations]
        rows = np.zeros((len(chosen), len(self)))
        rows[:, self.fixed] = 1.0
        for row, bits in zip(rows, chosen, strict=True):
            found = (self.at.get(pair) for pair in enumerate(bits))
            row[[column for column in found if column is not None]] = 1.0
        return rows

    def table(self, responses: Floats) -> Floats:
        """Return responses by decision and width: `[..., decisions, len(space.widths)]`.

        0 where a decision loses nothing, NaN where it does not have the width.

        Args:
            responses: `[..., columns]`.
        """
        widths = self.space.widths
        shape = (*responses.shape[:-1], len(self.space.decisions), len(widths))
        table = np.full(shape, np.nan)
        for step, decision in enumerate(self.space.decisions):
            for bits in decision.menu:
                column = self.at.get((step, bits))
                value = 0.0 if column is None else responses[..., column]
                table[..., step, widths.index(bits)] = value
        return table


def response_columns(space: DecisionSpace, rises: Sensitivities) -> ResponseColumns:
    """Return the responses of a network.

    Args:
        space: What may be decided.
        rises: Rise of the loss of each (layer, kind, bits).
    """
    fixed = [
        Decision(parts=(part,), menu=(bits,))
        for part, bits in space.fixed.items()
        if bits < MAX_BITS
    ]
    decisions = [*space.decisions, *fixed]
    rows = [
        (number, bits, _rise(rises, decision, bits), facts)
        for number, (decision, facts) in enumerate(
            zip(decisions, layer_facts(space, decisions), strict=True)
        )
        for bits in decision.menu
        if bits < MAX_BITS
    ]
    numbers, bits, found, facts = zip(*rows, strict=True) if rows else ((), (), (), ())
    return ResponseColumns(
        space=space,
        of=np.array(numbers, dtype=np.int64),
        bits=np.array(bits, dtype=np.int64),
        rises=np.array(found, dtype=np.float64),
        facts=np.array(facts, dtype=np.float64).reshape(len(rows), len(FACTS)),
    )


def _rise(rises: Sensitivities, decision: Decision, bits: int) -> float:
    if len(decision.menu) > 1:
        return decision_rise(rises, decision, bits)
    part = decision.parts[0]
    return rise_of(rises, part.layer, part.kind, bits)
