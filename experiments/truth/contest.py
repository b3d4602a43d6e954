"""Contest: methods on tables of truth, many seeds, and the regret of each answer."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from agents.methods import METHODS
from agents.search import SearchProblem
from env.errors import BudgetError
from env.evaluating.evaluation import Evaluation
from experiments.errors import RunFolderError
from experiments.record.lines import append_line, cut_torn_line, whole_lines
from experiments.truth.claim import Claim
from experiments.truth.entrant import entrant_of
from experiments.truth.evaluator import TruthEvaluator
from experiments.truth.world import Measure, TruthWorld
from quant.records.json_form import EXACT, from_plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """One search on a table."""

    __pydantic_config__ = EXACT

    table: str
    budget: float
    """Share of the way from the fastest allocation to all-8."""
    method: str
    """As `entrant_of` reads it."""
    evaluations: int
    """Evaluation limit, the reference not counted. 0: what the method proposes before any."""
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a search on a table came to."""

    __pydantic_config__ = EXACT

    match: Match
    answer: tuple[int, ...]
    """Widths, in the order of the decisions."""
    regret: dict[Measure, float]
    """What the answer lacks to the best one inside the budget: points of accuracy, logarithm of
    the loss, reward."""
    error: dict[Measure, float]
    """Standard error of the answer's truth, which only a few retrainings tell."""
    used: int
    """Evaluations that it took."""
    again: int
    """Of them those that showed a row once more, where the table had no other."""
    training_samples: int
    """Images that the method trained on or looked at beside its evaluations."""
    fell_back: bool
    """It answered nothing inside the budget; the fastest allocation stands in its place."""


def matches(claim: Claim) -> Iterator[Match]:
    """Yield all searches of a contest, seed after seed, so that it can be stopped at any."""
    for seed in range(claim.first_seed, claim.first_seed + claim.seeds):
        entrants = [name for name in claim.methods if seed in claim.seeds_of_all(name)]
        for table, budget, method, count in product(
            claim.names, claim.budgets, entrants, claim.evaluations
        ):
            yield Match(table=table, budget=budget, method=method, evaluations=count, seed=seed)


def play(match: Match, world: TruthWorld) -> Outcome:
    """Search, and judge the answer by what the search did not see."""
    blind = match.evaluations == 0
    evaluator = TruthEvaluator(
        world.table, seed=match.seed, limit=1 if blind else match.evaluations
    )
    problem = world.problem(match.budget, evaluator, uniform_first=not blind)
    number = _answer(match, world, problem, blind=blind)
    fell_back = number is None
    number = world.fastest() if number is None else number
    return Outcome(
        match=match,
        answer=world.table.subspace.bits(number),
        regret=world.regret(match.budget, number, evaluator),
        error=world.error(number),
        used=0 if blind else evaluator.used,
        again=evaluator.again,
        training_samples=problem.ledger.training_samples,
        fell_back=fell_back,
    )


def _answer(match: Match, world: TruthWorld, problem: SearchProblem, *, blind: bool) -> int | None:
    """Return the number of the first answer inside the budget, None where there is none."""
    entrant = entrant_of(match.method)
    settings = entrant.settings(world.setup.config)
    try:
        result = METHODS[entrant.method].search(problem, settings, seed=match.seed)
    except BudgetError:
        return None
    evaluations: list[Evaluation] = problem.evaluator.evaluations
    answers = result.candidates
    if blind:  # whatever it turned out to be
        answers = tuple(e.allocation for e in evaluations[1:2])
    inside = set(world.table.inside(match.budget).tolist())
    space, subspace = problem.space, world.table.subspace
    found = (subspace.number(space.bits_of(a)) for a in answers if space.admits(a))
    return next((number for number in found if number in inside), None)


class OutcomeFile:
    """Outcomes on the disk, a line each."""

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Raises:
            RunFolderError: the file holds something else.
        """
        self._path = path
        cut_torn_line(path)
        self.outcomes: dict[Match, Outcome] = {}
        lines = whole_lines(path.read_bytes()) if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                outcome = from_plain(Outcome, json.loads(line))
            except ValueError as error:
                raise RunFolderError(
                    f"expected an outcome in line {number} of {path}, found something else: {error}"
                ) from None
            self.outcomes[outcome.match] = outcome

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome; it is on the disk before this returns."""
        append_line(self._path, outcome)
        self.outcomes[outcome.match] = outcome
