"""ChoiceProblem: one pair of widths for every layer, least loss, costs within limits.

A multiple-choice knapsack with ties: layers that read one tensor must agree on its bits, and so
must whatever else is decided once. Every method that solves once builds one and hands it to a
solver; nothing here knows where losses and costs come from.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from quant.allocation import Allocation, LayerBits, ProductBits

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Pair = tuple[int, int]
"""(weight bits, activation bits)."""

Picks = tuple[int, ...]
"""Index of the chosen pair of each layer."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LayerChoices:
    """What one layer may be."""

    layer: str
    steps: tuple[int | None, int | None]
    """Which decisions its weight and its activation bits are; None for a fixed width. What names
    the same one, in this layer or another, has the same width."""
    pairs: tuple[Pair, ...]
    losses: Floats
    """`[pairs]`, additive over layers; what a tied tensor loses is in one of its readers."""
    costs: Integers
    """`[pairs, resources]`, exact and additive."""
    is_product: bool = False
    """Whether both widths are of tensors: of the right and the left one of a product."""

    def decided(self, pair: Pair) -> dict[int, int]:
        """Return the width that a pair gives each of the layer's decisions."""
        return {step: bits for step, bits in zip(self.steps, pair, strict=True) if step is not None}

    def agrees(self, pair: Pair, known: Mapping[int, int]) -> bool:
        """Whether a pair has the widths of those decisions that are known."""
        return all(known.get(step, bits) == bits for step, bits in self.decided(pair).items())


@dataclass(frozen=True, kw_only=True, eq=False)
class ChoiceProblem:
    """Minimise the sum of losses with every sum of costs at most its limit."""

    layers: tuple[LayerChoices, ...]
    limits: Integers
    """`[resources]`, what no choice changes already taken off."""

    def loss(self, picks: Picks) -> float:
        """Return the sum of losses."""
        return float(
            sum(layer.losses[pick] for layer, pick in zip(self.layers, picks, strict=True))
        )

    def cost(self, picks: Picks) -> Integers:
        """Return the sums of costs, `[resources]`."""
        total = np.zeros_like(self.limits)
        for layer, pick in zip(self.layers, picks, strict=True):
            total += layer.costs[pick]
        return total

    def inside(self, picks: Picks) -> bool:
        """Whether every limit is kept, in exact integers."""
        return bool((self.cost(picks) <= self.limits).all())

    def with_limits(self, limits: Sequence[int] | Integers) -> "ChoiceProblem":
        """Return the same choices under other limits."""
        return ChoiceProblem(layers=self.layers, limits=np.asarray(limits, dtype=np.int64))

    @cached_property
    def shared(self) -> Mapping[int, tuple[tuple[int, int], ...]]:
        """Each decision that several layers have: their positions, and which of their two."""
        found: dict[int, dict[int, int]] = {}
        for position, layer in enumerate(self.layers):
            for which, step in enumerate(layer.steps):
                if step is not None:
                    found.setdefault(step, {}).setdefault(position, which)
        return {step: tuple(of.items()) for step, of in found.items() if len(of) > 1}

    @cached_property
    def tied(self) -> tuple[tuple[int, ...], ...]:
        """Positions of layers that share decisions, directly or through others."""
        group = list(range(len(self.layers)))
        for places in self.shared.values():
            members = {group[position] for position, _ in places}
            group = [min(members) if one in members else one for one in group]
        return tuple(
            tuple(position for position, one in enumerate(group) if one == first)
            for first in dict.fromkeys(group)
        )

    def allocation(self, picks: Picks) -> Allocation:
        """Return the picks as an allocation."""
        bits = {}
        for layer, pick in zip(self.layers, picks, strict=True):
            weight_bits, activation_bits = layer.pairs[pick]
            kind = ProductBits if layer.is_product else LayerBits
            bits[layer.layer] = kind(weight_bits=weight_bits, activation_bits=activation_bits)
        return Allocation.of(bits)

    def picks(self, allocation: Allocation) -> Picks | None:
        """Return the picks of an allocation, or None where it has widths that are no choice."""
        chosen = []
        for layer in self.layers:
            bits = allocation[layer.layer]
            pair = (bits.weight_bits, bits.activation_bits)
            if pair not in layer.pairs:
                return None
            chosen.append(layer.pairs.index(pair))
        return tuple(chosen)

    def known_picks(self, allocations: Iterable[Allocation]) -> frozenset[Picks]:
        """Return the picks of allocations, without those that are no choice here."""
        found = (self.picks(allocation) for allocation in allocations)
        return frozenset(picks for picks in found if picks is not None)
