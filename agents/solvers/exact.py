"""Exact solution of a ChoiceProblem: enumerated where small, else an integer program."""

from collections.abc import Collection
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array

from agents.solvers.choice_problem import ChoiceProblem, Floats, Integers, Picks
from agents.solvers.enumeration import enumerate_picks, total_costs, total_losses

_LOSS_RANGE = 1e3
"""Losses are scaled to this range: HiGHS stops at an absolute gap of 1e-6."""
_LEAST_LOSS = 1e-300
"""In place of 0, where no choice loses anything."""
_ROUNDING = 1.1e-6
"""Share of a limit that is left to the solver: what uses all of it is inside, and HiGHS's presolve,
whose tolerance is 1e-6, may drop it otherwise. What is beyond by less is forbidden in turn."""
_MISSES = 64
"""Solutions that miss a limit by less than the solver's tolerance, and are forbidden in turn."""


def solve_exact(problem: ChoiceProblem, exclude: Collection[Picks] = ()) -> Picks | None:
    """Return the picks of least loss inside the limits, or None where there are none.

    Args:
        problem: Choices, losses, costs, limits.
        exclude: Picks that are not wanted, so that a second call finds the next best.
    """
    every = enumerate_picks(problem)
    if every is None:
        return solve_program(problem, exclude)
    return _first_of(problem, every, frozenset(exclude))


def _first_of(problem: ChoiceProblem, every: Integers, forbidden: frozenset[Picks]) -> Picks | None:
    inside = every[(total_costs(problem, every) <= problem.limits).all(axis=1)]
    for place in np.argsort(total_losses(problem, inside), kind="stable"):
        picks = tuple(inside[place].tolist())
        if picks not in forbidden:
            return picks
    return None


def solve_program(problem: ChoiceProblem, exclude: Collection[Picks] = ()) -> Picks | None:
    """Return what `solve_exact` does, by an integer program whatever the size.

    Source: Yao et al. 2021, "HAWQ-V3" (ICML), section 3.4, solves this integer program; here with
    HiGHS through scipy.
    """
    forbidden = set(exclude)
    program = _Program(problem)
    for _ in range(_MISSES):
        result = milp(
            program.objective,
            integrality=np.ones(program.size),
            bounds=Bounds(0, 1),
            constraints=[
                LinearConstraint(program.equal, program.equal_to, program.equal_to),
                LinearConstraint(program.at_most, -np.inf, program.limits),
                *program.without(forbidden),
            ],
            options={"mip_rel_gap": 0.0},
        )
        if result.x is None:
            return None
        picks = program.picks(result.x)
        # Limits are kept to the solver's tolerance; ours are exact.
        if problem.inside(picks) and picks not in forbidden:
            return picks
        forbidden.add(picks)
    return None


def solve_relaxed(problem: ChoiceProblem) -> list[Floats] | None:
    """Return each layer's shares of its pairs, `[pairs]` each, where choices may be divided.

    None where no mixture keeps the limits.
    """
    program = _Program(problem)
    result = linprog(
        program.objective,
        A_ub=program.at_most,
        b_ub=program.limits,
        A_eq=program.equal,
        b_eq=program.equal_to,
        bounds=(0, 1),
    )
    return None if result.x is None else program.split(result.x)


class _Program:
    """Variables x of all layers' pairs in a row: 1 for the chosen one."""

    def __init__(self, problem: ChoiceProblem) -> None:
        self._problem = problem
        sizes = [len(layer.pairs) for layer in problem.layers]
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self.size = int(self._starts[-1])
        losses = np.concatenate([layer.losses - layer.losses.min() for layer in problem.layers])
        self.objective = losses * (_LOSS_RANGE / max(float(losses.max()), _LEAST_LOSS))
        # Costs as shares of their limits: picoseconds and bytes differ by nine digits.
        scale = np.maximum(np.abs(problem.limits), 1).astype(np.float64)
        costs = np.concatenate([layer.costs for layer in problem.layers])
        self.at_most = csr_array((costs / scale).T)
        self.limits = problem.limits / scale + _ROUNDING
        self.equal, self.equal_to = self._equalities()

    def _equalities(self) -> tuple[Any, Floats]:
        """Say that each layer has one pair, and that what is decided once is the same."""
        rows: list[dict[int, float]] = []
        right: list[float] = []
        for position in range(len(self._problem.layers)):
            rows.append(dict.fromkeys(self._columns(position), 1.0))
            right.append(1.0)
        for places in self._problem.shared.values():
            first, *others = places
            for other in others:
                widths = {pair[of] for p, of in (first, other) for pair in self._pairs(p)}
                for width in sorted(widths):
                    row = dict.fromkeys(self._columns(*first, width), 1.0)
                    row |= dict.fromkeys(self._columns(*other, width), -1.0)
                    rows.append(row)
                    right.append(0.0)
        return self._matrix(rows), np.array(right)

    def without(self, forbidden: Collection[Picks]) -> list[LinearConstraint]:
        """Forbid whole sets of picks: at least one of them must be another."""
        if not forbidden:
            return []
        rows = [
            {int(start) + pick: 1.0 for start, pick in zip(self._starts, picks, strict=False)}
            for picks in sorted(forbidden)
        ]
        return [LinearConstraint(self._matrix(rows), -np.inf, len(self._problem.layers) - 1)]

    def split(self, x: Floats) -> list[Floats]:
        """Return the variables layer by layer."""
        return list(np.split(x, self._starts[1:-1]))

    def picks(self, x: Floats) -> Picks:
        """Return the chosen pairs."""
        return tuple(int(shares.argmax()) for shares in self.split(x))

    def _pairs(self, position: int) -> tuple[tuple[int, int], ...]:
        return self._problem.layers[position].pairs

    def _columns(self, position: int, which: int = 0, width: int | None = None) -> list[int]:
        """Return a layer's variables, or those of the pairs whose one number has a width."""
        start = int(self._starts[position])
        return [
            start + index
            for index, pair in enumerate(self._pairs(position))
            if width is None or pair[which] == width
        ]

    def _matrix(self, rows: list[dict[int, float]]) -> Any:
        at = [(row, column) for row, entries in enumerate(rows) for column in entries]
        values = [value for entries in rows for value in entries.values()]
        return csr_array((values, tuple(np.array(at).T)), shape=(len(rows), self.size))
