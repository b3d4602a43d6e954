"""Greedy solution of a ChoiceProblem: from the least loss down into the limits, then filled up."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agents.solvers.choice_problem import ChoiceProblem, Floats, Integers, LayerChoices, Picks
from agents.solvers.exact import solve_exact
from env.decisions.fronts import pareto_rows

_MOST_OPTIONS = 256
"""Combinations kept of tied layers, at each width of what ties them; evenly thinned."""

_LEAST_COST = 1e-12
"""Share of a limit that a step which costs nothing is taken to cost."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TiedLayers:
    """Layers that share decisions, as one choice among combinations of their pairs."""

    positions: tuple[int, ...]
    picks: Integers
    """`[options, layers of the group]`."""
    losses: Floats
    """`[options]`."""
    costs: Integers
    """`[options, resources]`."""


class Groups:
    """A problem's groups, with combinations left out that another one beats in everything.

    Source: Chen, Wang, Cheng 2021 (arXiv 2110.06554), a greedy multiple-choice knapsack; the steps
    are those of the textbook (Kellerer, Pferschy, Pisinger 2004, chapter 11). Taking the step of
    the smallest rise per saving from where a group stands walks along the lower convex hull of its
    options, so that options above the hull are passed by.
    """

    def __init__(self, problem: ChoiceProblem) -> None:
        """Combine tied layers and drop dominated combinations."""
        self.problem = problem
        self._limits = problem.limits
        self._scale = np.maximum(np.abs(problem.limits), 1).astype(np.float64)
        self.groups = tuple(_group(problem, positions) for positions in problem.tied)
        self._rows = np.arange(len(self.groups))
        # All groups' options as one table, filled up with options that nobody takes.
        most = max(len(group.losses) for group in self.groups)
        self._losses = np.full((len(self.groups), most), np.inf)
        self._costs = np.zeros((len(self.groups), most, len(problem.limits)), dtype=np.int64)
        for row, group in enumerate(self.groups):
            self._losses[row, : len(group.losses)] = group.losses
            self._costs[row, : len(group.losses)] = group.costs

    def solve(self) -> Picks | None:
        """Return picks inside the limits, or None where the greedy steps find none."""
        return self._settle(self._losses.argmin(1))

    def from_picks(self, picks: Picks) -> Picks | None:
        """Bring picks inside the limits by the same steps, and fill what is left of them."""
        return self._settle(self._nearest_options(picks))

    def neighbours(self, picks: Picks) -> list[Picks]:
        """Return what settles when one group is held at another option, least loss first."""
        start, found = self._nearest_options(picks), []
        for held, group in enumerate(self.groups):
            for option in range(len(group.losses)):
                if option != start[held]:
                    changed = start.copy()
                    changed[held] = option
                    found.append(self._settle(changed, held=held))
        kept = {p for p in found if p is not None and p != picks}
        return sorted(kept, key=lambda p: (self.problem.loss(p), p))

    def _settle(self, chosen: Integers, held: int | None = None) -> Picks | None:
        chosen = chosen.copy()
        cost = self._cost(chosen)
        while (cost > self._limits).any():
            step = self._best_step(chosen, cost, held, down=True)
            if step is None:
                return None
            cost = self._take(step, chosen, cost)
        while step := self._best_step(chosen, cost, held, down=False):
            cost = self._take(step, chosen, cost)
        return self._picks(chosen)

    def _best_step(
        self, chosen: Integers, cost: Integers, held: int | None, *, down: bool
    ) -> tuple[int, int] | None:
        """Return (group, option) of the best ratio of loss and cost, or None."""
        rises = self._losses - self._losses[self._rows, chosen][:, None]
        costs = self._costs - self._costs[self._rows, chosen][:, None, :]
        ratios = self._down(rises, costs, cost) if down else self._up(rises, costs, cost)
        if held is not None:
            ratios[held] = np.inf
        group, option = np.unravel_index(int(ratios.argmin()), ratios.shape)
        return (int(group), int(option)) if ratios[group, option] < np.inf else None

    def _down(self, rises: Floats, costs: Integers, cost: Integers) -> Floats:
        """Return rise over saving of each option, infinite where the excess does not shrink."""
        over = cost > self._limits
        saved = -(costs[..., over] / self._scale[over]).sum(-1)
        excess = np.maximum(cost + costs - self._limits, 0) / self._scale
        now = (np.maximum(cost - self._limits, 0) / self._scale).sum()
        useful = (excess.sum(-1) < now) & (saved > 0)
        return np.where(useful, rises / np.where(useful, saved, 1.0), np.inf)

    def _up(self, rises: Floats, costs: Integers, cost: Integers) -> Floats:
        """Return minus the gain over the added cost of each option that gains and fits."""
        fits = (cost + costs <= self._limits).all(-1) & (rises < 0)
        added = np.maximum(costs / self._scale, 0.0).sum(-1)
        return np.where(fits, rises / np.maximum(added, _LEAST_COST), np.inf)

    def _take(self, step: tuple[int, int], chosen: Integers, cost: Integers) -> Integers:
        group, option = step
        cost = cost + self._costs[group, option] - self._costs[group, chosen[group]]
        chosen[group] = option
        return cost

    def _cost(self, chosen: Integers) -> Integers:
        total: Integers = self._costs[self._rows, chosen].sum(0)
        return total

    def _picks(self, chosen: Integers) -> Picks:
        picks = [0] * len(self.problem.layers)
        for group, option in zip(self.groups, chosen, strict=True):
            for position, pick in zip(group.positions, group.picks[option], strict=True):
                picks[position] = int(pick)
        return tuple(picks)

    def _nearest_options(self, picks: Picks) -> Integers:
        """Return the options nearest to picks: a dominated combination stands for none itself."""
        chosen = []
        for group in self.groups:
            wanted = np.array([picks[position] for position in group.positions])
            same = (group.picks == wanted).all(1)
            if same.any():
                chosen.append(int(same.argmax()))
                continue
            layers = [self.problem.layers[position] for position in group.positions]
            loss = sum(layer.losses[pick] for layer, pick in zip(layers, wanted, strict=True))
            cost = sum(layer.costs[pick] for layer, pick in zip(layers, wanted, strict=True))
            better = (group.losses <= loss) & (group.costs <= cost).all(1)
            distance = np.abs(group.losses - loss) + np.where(better, 0.0, np.inf)
            if not better.any():
                distance = np.abs(group.losses - loss)
            chosen.append(int(distance.argmin()))
        return np.array(chosen)


def pick_fresh(groups: Groups, answer: Picks | None, exclude: Collection[Picks]) -> Picks | None:
    """Return an answer, or the best of its neighbours that is not excluded, or the exact answer.

    A neighbour holds one group of layers at another choice and settles the rest by the same steps.
    """
    if answer is not None and answer not in exclude:
        return answer
    near = [] if answer is None else groups.neighbours(answer)
    fresh = (picks for picks in near if picks not in exclude)
    return next(fresh, None) or solve_exact(groups.problem, exclude)


def _group(problem: ChoiceProblem, positions: tuple[int, ...]) -> TiedLayers:
    """Combine the pairs of tied layers, layer by layer, at each width of what ties them.

    A decision that no later layer has is settled: of combinations that differ in it alone, those
    that another one beats are left out.
    """
    last = {
        step: position
        for position in positions
        for step in problem.layers[position].steps
        if step is not None
    }
    width = len(problem.limits)
    nothing = _Combined(np.zeros((1, 0), np.int64), np.zeros(1), np.zeros((1, width), np.int64))
    tables: dict[tuple[tuple[int, int], ...], _Combined] = {(): nothing}
    for position in positions:
        layer, grown = problem.layers[position], defaultdict(list)
        for known, combined in tables.items():
            for bits, rows in _extensions(layer, dict(known)):
                still = tuple(sorted((s, b) for s, b in bits.items() if last[s] > position))
                grown[still].append(_extend(combined, layer, rows))
        tables = {still: _unbeaten(parts, thin=bool(still)) for still, parts in grown.items()}
    (all_of_it,) = tables.values()
    return TiedLayers(
        positions=positions, picks=all_of_it.picks, losses=all_of_it.losses, costs=all_of_it.costs
    )


class _Combined(NamedTuple):
    """Combinations of the layers so far."""

    picks: Integers
    losses: Floats
    costs: Integers


def _extensions(
    layer: LayerChoices, known: dict[int, int]
) -> Iterator[tuple[dict[int, int], Integers]]:
    """Yield widths of all decisions so far, and the layer's pairs that have them."""
    found: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for row, pair in enumerate(layer.pairs):
        if layer.agrees(pair, known):
            found.setdefault(tuple({**known, **layer.decided(pair)}.items()), []).append(row)
    for bits, rows in found.items():
        yield dict(bits), np.array(rows, dtype=np.int64)


def _extend(combined: _Combined, layer: LayerChoices, rows: Integers) -> _Combined:
    count, before = len(rows), len(combined.losses)
    losses = (combined.losses[:, None] + layer.losses[rows]).ravel()
    return _Combined(
        np.column_stack([np.repeat(combined.picks, count, 0), np.tile(rows, before)]),
        losses,
        (combined.costs[:, None, :] + layer.costs[rows]).reshape(len(losses), -1),
    )


def _unbeaten(parts: Sequence[_Combined], *, thin: bool) -> _Combined:
    """Return what no other one beats in everything, as it is or evenly thinned."""
    picks, losses, costs = (np.concatenate(column) for column in zip(*parts, strict=True))
    keep = pareto_rows(np.column_stack([losses, costs]))
    if thin and len(keep) > _MOST_OPTIONS:
        keep = keep[np.linspace(0, len(keep) - 1, _MOST_OPTIONS).round().astype(int)]
    return _Combined(picks[keep], losses[keep], costs[keep])
