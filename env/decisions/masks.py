"""Masks: which bit choices leave a completion that meets the budget.

With one budgeted resource the mask is exact. With more, long fronts of completions are thinned
(`env.decisions.completions`): the mask may then forbid an action that a lucky completion would have
saved, but never the reverse, and it never ends in a dead end, because each front is contained in
the union of the fronts one decision later (thinning happens from the last decision to the first).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from env.decisions.budget import Budget
from env.decisions.completions import Component, Open, components, suffix_sums
from env.decisions.costs import UNITS_PER_UJ, UNITS_PER_US, CostTable, IntVector, limits_of
from env.decisions.decisions import DecisionSpace
from env.decisions.fronts import Front, add, pareto
from env.errors import BudgetError


@dataclass(frozen=True, slots=True)
class MaskState:
    """What the decisions so far have settled. Immutable, so that episodes can be replayed."""

    step: int
    spent: IntVector
    """`[resources]` of the layers whose two bit-widths are both known, and the fixed part."""
    begun: tuple[tuple[int, int, Open], ...]
    """(component, its decisions so far, widths of the open ones) where decisions are to come."""
    components_begun: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is possible from one state."""

    legal: npt.NDArray[np.bool_]
    """bool `[widths]`."""
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
    """The masks of one space of decisions, cost table and budget."""

    def __init__(
        self,
        space: DecisionSpace,
        costs: CostTable,
        budget: Budget,
        front_points: int = 64,
    ) -> None:
        """Prepare the fronts of all components.

        Raises:
            BudgetError: no allocation meets the budget; names the smallest reachable values.
            LayerRuleError: ties are so entangled that masks cannot be kept.
        """
        limits = limits_of(budget)
        self.resources = tuple(sorted(limits)) or (0,)
        no_limit = np.iinfo(np.int64).max
        self.limit = np.array([limits.get(index, no_limit) for index in self.resources])
        self._space = space
        self._fixed = (costs.fixed + _fixed_layers(space, costs))[list(self.resources)]
        self._components = components(space, costs, self.resources, front_points)
        # later[j]: completions of all components from the j-th on, in the order they are begun.
        self._later = suffix_sums(self._components, len(self.resources), front_points)
        self._component_of = {
            step: (number, component)
            for number, component in enumerate(self._components)
            for step in component.steps
        }
        self._options_of: dict[tuple[int, Open], tuple[Front, npt.NDArray[np.int64]]] = {}
        self._columns = [
            [space.widths.index(bits) for bits in decision.menu] for decision in space.decisions
        ]
        self._check(budget)

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
        return MaskState(0, self._fixed, (), 0)

    def outlook(self, state: MaskState) -> Outlook:
        """Return the legal choices of the next decision and what can still be reached."""
        number, component = self._component_of[state.step]
        elsewhere = state.spent[None, :]
        nothing: Open = ()
        position, widths, begun = 0, nothing, state.components_begun + 1
        for other, decided, open_widths in state.begun:
            if other == number:
                position, widths, begun = decided, open_widths, state.components_begun
            else:
                rest = self._components[other].rest(decided, open_widths)
                elsewhere = pareto(add(elsewhere, rest))
        elsewhere = add(elsewhere, self._later[begun])
        options, starts = self._options(state.step, component, position, widths)
        # [options, 1, resources] + [1, elsewhere, resources]
        ends = options[:, None, :] + elsewhere[None, :, :]
        inside = np.any(np.all(ends <= self.limit, axis=2), axis=1)
        legal = np.zeros(len(self._space.widths), dtype=np.bool_)
        legal[self._columns[state.step]] = np.logical_or.reduceat(inside, starts)
        return Outlook(legal, ends.min(axis=(0, 1)))

    def _options(
        self, step: int, component: Component, position: int, widths: Open
    ) -> tuple[Front, npt.NDArray[np.int64]]:
        """Return the completions of a component after each choice of the menu, one below the other.

        Returns:
            All of them `[options, resources]`, and the row at which each choice's begin.
        """
        key = (step, widths)
        if key not in self._options_of:
            fronts = [
                component.cost(position, widths, choice)
                + component.rest(position + 1, component.then(position, widths, choice))
                for choice in self._space.decisions[step].menu
            ]
            starts = np.cumsum([0, *(len(front) for front in fronts[:-1])])
            self._options_of[key] = (np.concatenate(fronts), starts)
        return self._options_of[key]

    def advance(self, state: MaskState, choice: int) -> MaskState:
        """Return the state after `choice` bits; does not ask whether they were legal."""
        number, component = self._component_of[state.step]
        others = [entry for entry in state.begun if entry[0] != number]
        own = [entry for entry in state.begun if entry[0] == number]
        _, position, widths = own[0] if own else (number, 0, ())
        spent = state.spent + component.cost(position, widths, choice)
        then = component.then(position, widths, choice)
        if position + 1 < len(component.steps):
            others.append((number, position + 1, then))
        return MaskState(state.step + 1, spent, tuple(others), state.components_begun + (not own))


def _fixed_layers(space: DecisionSpace, costs: CostTable) -> IntVector:
    """Return what the layers cost of which nothing is decided, `[resources]`."""
    total = np.zeros_like(costs.fixed)
    for name in space.parts:
        if space.steps(name) == (None, None):
            (pair,) = space.pairs(name)
            total = total + costs.pairs[name][pair]
    return total
