"""Masks: which bit choices leave a completion that meets the budget.

Latency depends on the pair (weight bits, activation bits) and a tensor's bits on all layers that
read it, so the parts that can be minimised apart from each other are *groups*: the layers that
read one tensor. With one budgeted resource a group's best completion is one number and the mask
is exact. With more, a group has a Pareto front of completions, and fronts longer than
`front_points` are thinned: the mask may then forbid an action that a lucky completion would have
saved, but never the reverse, and it never ends in a dead end, because each front is contained in
the union of the fronts one decision later (thinning happens from the last layer to the first).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from env.decisions.budget import Budget
from env.decisions.costs import UNITS_PER_UJ, UNITS_PER_US, CostTable, IntVector, limits_of
from env.decisions.decisions import decision_sequence
from env.decisions.fronts import Front, add, pareto, thin, union
from env.errors import BudgetError
from quant.layers import INPUT_BITS, LayerSpec

_OptionsKey = tuple[int, int | None, tuple[int, int] | None]
"""(step, pending weight bits, (bits, spent layers) of the current group if it is begun)."""


@dataclass(frozen=True, slots=True)
class MaskState:
    """What the decisions so far have settled. Immutable, so that episodes can be replayed."""

    step: int
    spent: IntVector
    """`[resources]` of the layers whose two bit-widths are both decided, and the fixed part."""
    open_groups: tuple[tuple[str, int, int], ...]
    """(tensor, its bits, how many of its layers are spent) where layers are still to come."""
    pending_weight_bits: int | None
    """Weight bits of the layer whose activations are decided next."""
    groups_begun: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is possible from one state."""

    legal: npt.NDArray[np.bool_]
    """bool `[bit_choices]`."""
    smallest: IntVector
    """`[resources]` the least that each resource can end at, each by itself."""


_REACHABLE = (
    # Rounded up to a nanosecond and a nanojoule, so that the printed value can be asked for.
    lambda least: (
        f"the smallest reachable latency is {math.ceil(least / (UNITS_PER_US / 1000)) / 1e6:.6f} ms"
    ),
    lambda least: f"the smallest reachable model is {least} bytes",
    lambda least: (
        f"the smallest reachable energy is {math.ceil(least / (UNITS_PER_UJ / 1000)) / 1e6:.6f} mJ"
    ),
)
"""What a resource can get down to, in words, by its index."""


class BudgetMask:
    """The masks of one network, cost table and budget."""

    def __init__(
        self,
        layers: Sequence[LayerSpec],
        costs: CostTable,
        bit_choices: Sequence[int],
        budget: Budget,
        front_points: int = 64,
    ) -> None:
        """Prepare the fronts of all groups.

        Raises:
            BudgetError: no allocation meets the budget; names the smallest reachable values.
        """
        limits = limits_of(budget)
        self.resources = tuple(sorted(limits)) or (0,)
        no_limit = np.iinfo(np.int64).max
        self.limit = np.array([limits.get(index, no_limit) for index in self.resources])
        self._decisions = decision_sequence(layers)
        self._choices = tuple(bit_choices)
        self._fixed = costs.fixed[list(self.resources)]
        self._costs = {
            layer.name: {
                pair: cost[list(self.resources)] for pair, cost in costs.pairs[layer.name].items()
            }
            for layer in layers
        }
        self._options_of: dict[_OptionsKey, tuple[Front, npt.NDArray[np.int64]]] = {}
        self._prepare_groups(layers, front_points)
        self._check(budget)

    def _prepare_groups(self, layers: Sequence[LayerSpec], points: int) -> None:
        self._members: dict[str, list[str]] = {}
        for layer in layers:
            self._members.setdefault(layer.tensor, []).append(layer.name)
        self._inputs = {layer.tensor for layer in layers if layer.reads_input}
        widths = {
            tensor: (INPUT_BITS,) if tensor in self._inputs else self._choices
            for tensor in self._members
        }
        nothing = np.zeros((1, len(self.resources)), dtype=np.int64)
        # rest[tensor][bits][i]: completions of the tensor's layers i.. at those activation bits.
        self._rest: dict[str, dict[int, list[Front]]] = {}
        for tensor, names in self._members.items():
            self._rest[tensor] = {}
            for bits in widths[tensor]:
                rest = [nothing]
                for name in reversed(names):
                    own = np.stack([self._costs[name][weight, bits] for weight in self._choices])
                    rest.insert(0, thin(pareto(add(own, rest[0])), points))
                self._rest[tensor][bits] = rest
        # later[j]: completions of all groups from the j-th on, in the order they are begun.
        self._later = [nothing]
        for tensor in reversed(self._members):
            whole = union(rest[0] for rest in self._rest[tensor].values())
            self._later.insert(0, thin(pareto(add(whole, self._later[0])), points))

    def _check(self, budget: Budget) -> None:
        completions = self._later[0] + self._fixed
        if bool((completions <= self.limit).all(axis=1).any()):
            return
        parts = [
            _REACHABLE[index](int(least))
            for index, least in zip(self.resources, completions.min(axis=0), strict=True)
        ]
        together = ("", ", not both at once", ", not all at once")[len(parts) - 1]
        raise BudgetError(
            f"expected a budget that some allocation of these layers meets, found {budget}; "
            + " and ".join(parts)
            + together,
            "raise the budget or allow smaller bit choices",
        )

    def start(self) -> MaskState:
        """Return the state before the first decision."""
        return MaskState(0, self._fixed, (), None, 0)

    def outlook(self, state: MaskState) -> Outlook:
        """Return the legal choices of the next decision and what can still be reached."""
        tensor = self._decisions[state.step].tensor
        elsewhere = state.spent[None, :]
        begun = state.groups_begun
        current: tuple[int, int] | None = None
        for name, bits, spent_layers in state.open_groups:
            if name == tensor:
                current = (bits, spent_layers)
            else:
                elsewhere = pareto(add(elsewhere, self._rest[name][bits][spent_layers]))
        later = self._later[begun if current is not None else begun + 1]
        elsewhere = add(elsewhere, later)
        options, starts = self._options(state, current)
        # [options, 1, resources] + [1, elsewhere, resources]
        ends = options[:, None, :] + elsewhere[None, :, :]
        inside = np.any(np.all(ends <= self.limit, axis=2), axis=1)
        legal = np.logical_or.reduceat(inside, starts)
        return Outlook(legal, ends.min(axis=(0, 1)))

    def _options(
        self, state: MaskState, current: tuple[int, int] | None
    ) -> tuple[Front, npt.NDArray[np.int64]]:
        """Return the completions of the current group after each choice, one below the other.

        Returns:
            All of them `[options, resources]`, and the row at which each choice's begin.
        """
        key = (state.step, state.pending_weight_bits, current)
        if key not in self._options_of:
            fronts = [self._completions(state, choice, current) for choice in self._choices]
            starts = np.cumsum([0, *(len(front) for front in fronts[:-1])])
            self._options_of[key] = (np.concatenate(fronts), starts)
        return self._options_of[key]

    def _completions(self, state: MaskState, choice: int, current: tuple[int, int] | None) -> Front:
        """Return the completions of the current group after `choice`."""
        decision = self._decisions[state.step]
        cost, rest = self._costs[decision.layer], self._rest[decision.tensor]
        if decision.kind == "activation":
            assert state.pending_weight_bits is not None
            return cost[state.pending_weight_bits, choice] + rest[choice][1]
        if current is not None:
            bits, spent_layers = current
            return cost[choice, bits] + rest[bits][spent_layers + 1]
        return union(cost[choice, bits] + rest[bits][1] for bits in self._rest[decision.tensor])

    def advance(self, state: MaskState, choice: int) -> MaskState:
        """Return the state after `choice` bits; does not ask whether they were legal."""
        decision = self._decisions[state.step]
        tensor, cost = decision.tensor, self._costs[decision.layer]
        known = {name: (bits, spent) for name, bits, spent in state.open_groups}
        begun = state.groups_begun
        if decision.kind == "activation":
            assert state.pending_weight_bits is not None
            spent, known[tensor] = cost[state.pending_weight_bits, choice], (choice, 1)
            begun += 1
        elif tensor in known:
            bits, spent_layers = known[tensor]
            spent, known[tensor] = cost[choice, bits], (bits, spent_layers + 1)
        elif tensor in self._inputs:
            spent, known[tensor] = cost[choice, INPUT_BITS], (INPUT_BITS, 1)
            begun += 1
        else:
            return MaskState(
                state.step + 1, state.spent, state.open_groups, choice, state.groups_begun
            )
        still_open = tuple(
            (name, bits, count)
            for name, (bits, count) in known.items()
            if count < len(self._members[name])
        )
        return MaskState(state.step + 1, state.spent + spent, still_open, None, begun)
