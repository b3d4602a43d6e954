"""Completions: what the decisions that are left can still cost, as fronts of cost vectors.

A layer's cost depends on two numbers, its weight bits and the bits of what it reads, and so on two
decisions at most. Decisions that meet in a layer, over however many steps, are a *component*; the
components can be minimised apart from each other. Inside one, what is still to come depends on the
past only through its *open* decisions: those that meet a later one in some layer. A table for each
step and each choice of the open decisions, made from the last step to the first, is exact for one
resource. With more, each entry is a Pareto front, and those longer than `points` are thinned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from env.decisions.costs import CostTable, IntVector
from env.decisions.decisions import DecisionSpace
from env.decisions.fronts import Front, add, pareto, thin, union
from env.errors import LayerRuleError

_MOST_ENTRIES = 20_000
"""Table entries of one component; ties of a thousand layers need a few hundred."""

Open = tuple[int, ...]
"""Widths of a component's open decisions, in their order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """One step inside its component."""

    open: tuple[int, ...]
    """Decisions before it that meet it or a later one in some layer."""
    then: tuple[int, ...]
    """Those that are open behind it, as positions in `open` with the step itself at the end."""
    layers: tuple[tuple[str, int | None, int | None], ...]
    """Layers both of whose numbers are known with it; each number is a position as in `then`,
    or None for a fixed one."""


class Component:
    """The decisions of one component and the fronts of their completions."""

    def __init__(
        self,
        space: DecisionSpace,
        steps: Sequence[int],
        layers: Sequence[str],
        costs: Mapping[str, Mapping[tuple[int, int], IntVector]],
        points: int,
    ) -> None:
        """Prepare the tables.

        Args:
            space: What may be decided.
            steps: The component's decisions, in order.
            layers: Those that they decide something of.
            costs: Of the budgeted resources, by layer and pair.
            points: Longer fronts are thinned to about as many.

        Raises:
            LayerRuleError: ties are so entangled that the tables would have no end.
        """
        self.steps = tuple(steps)
        self._space, self._costs = space, costs
        self._places = _places(space, self.steps, layers)
        self._fixed = {
            name: tuple(space.menu(part)[0] for part in space.parts[name]) for name in layers
        }
        self._check()
        self._nothing = np.zeros_like(next(iter(costs[layers[0]].values())))
        nothing: dict[Open, Front] = {(): self._nothing[None]}
        # rest[p][open]: completions of the component's decisions p.. at those widths.
        self._rest = [nothing]
        for place, step in reversed(list(zip(self._places, self.steps, strict=True))):
            behind, tables = self._rest[0], {}
            for widths in self._all_open(place.open):
                fronts = [
                    self._cost(place, widths, choice) + behind[_then(place, widths, choice)]
                    for choice in space.decisions[step].menu
                ]
                tables[widths] = thin(union(fronts), points)
            self._rest.insert(0, tables)

    def rest(self, position: int, widths: Open) -> Front:
        """Return the completions of the decisions from a position on."""
        return self._rest[position][widths]

    def cost(self, position: int, widths: Open, choice: int) -> IntVector:
        """Return what is spent for sure by one more choice, `[resources]`."""
        return self._cost(self._places[position], widths, choice)

    def then(self, position: int, widths: Open, choice: int) -> Open:
        """Return the widths of what is open after one more choice."""
        return _then(self._places[position], widths, choice)

    def _cost(self, place: _Place, widths: Open, choice: int) -> IntVector:
        known = (*widths, choice)
        total = self._nothing
        for name, weight, activation in place.layers:
            fixed = self._fixed[name]
            pair = (
                fixed[0] if weight is None else known[weight],
                fixed[1] if activation is None else known[activation],
            )
            cost = self._costs[name][pair]
            total = cost if total is self._nothing else total + cost
        return total

    def _all_open(self, decisions: Sequence[int]) -> list[Open]:
        found: list[Open] = [()]
        for decision in decisions:
            found = [(*w, bits) for w in found for bits in self._space.decisions[decision].menu]
        return found

    def _check(self) -> None:
        menus = [len(decision.menu) for decision in self._space.decisions]
        entries = sum(
            prod(menus[decision] for decision in place.open) * menus[step]
            for place, step in zip(self._places, self.steps, strict=True)
        )
        if entries > _MOST_ENTRIES:
            raise LayerRuleError(
                f"env.layers: expected ties that leave at most {_MOST_ENTRIES} combinations to "
                f"look at, found {entries} for {self._space.decisions[self.steps[0]].layer} and "
                "what is tied to it",
                "tie layers that stand beside each other, or give them shorter menus",
            )


def components(
    space: DecisionSpace, costs: CostTable, resources: Sequence[int], points: int
) -> tuple[Component, ...]:
    """Return the components in the order in which their first decisions stand.

    Args:
        space: What may be decided.
        costs: Of everything.
        resources: Columns of the costs that are looked at.
        points: As of `Component`.
    """
    columns = list(resources)
    root = list(range(len(space.decisions)))
    meets = {name: tuple(s for s in space.steps(name) if s is not None) for name in space.parts}
    for steps in meets.values():
        if len(steps) == 2:
            first, second = sorted(root[step] for step in steps)
            root = [first if one == second else one for one in root]
    return tuple(
        Component(
            space,
            [step for step, one in enumerate(root) if one == first],
            [name for name, steps in meets.items() if steps and root[steps[0]] == first],
            {
                name: _columns_of(costs.pairs[name], columns)
                for name, steps in meets.items()
                if steps and root[steps[0]] == first
            },
            points,
        )
        for first in dict.fromkeys(root)
    )


def _columns_of(
    pairs: Mapping[tuple[int, int], IntVector], columns: Sequence[int]
) -> dict[tuple[int, int], IntVector]:
    return dict(zip(pairs, np.array([*pairs.values()])[:, columns], strict=True))


def suffix_sums(parts: Sequence[Component], resources: int, points: int) -> list[Front]:
    """Return, for each number of components begun, the completions of all others."""
    sums: list[Front] = [np.zeros((1, resources), dtype=np.int64)]
    for component in reversed(parts):
        sums.insert(0, thin(pareto(add(component.rest(0, ()), sums[0])), points))
    return sums


def _places(
    space: DecisionSpace, steps: Sequence[int], layers: Sequence[str]
) -> tuple[_Place, ...]:
    found = {name: space.steps(name) for name in layers}
    last = {
        step: max(max(s for s in both if s is not None) for both in found.values() if step in both)
        for step in steps
    }
    open_now: tuple[int, ...] = ()
    places = []
    for step in steps:
        known = (*open_now, step)
        places.append(
            _Place(
                open=open_now,
                then=tuple(i for i, decision in enumerate(known) if last[decision] > step),
                layers=tuple(
                    (name, *(None if s is None else known.index(s) for s in both))  # type: ignore[misc]
                    for name, both in found.items()
                    if max(s for s in both if s is not None) == step
                ),
            )
        )
        open_now = tuple(decision for decision in known if last[decision] > step)
    return tuple(places)


def _then(place: _Place, widths: Open, choice: int) -> Open:
    if not place.then:
        return ()
    known = (*widths, choice)
    return tuple([known[position] for position in place.then])
