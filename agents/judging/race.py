"""The race: a method's last evaluations go to what looks best, with other seeds."""

from collections import Counter
from typing import Any, Protocol

from agents.judging.best_in_world import Finder, best_in_world
from agents.judging.knowledge import Knowledge
from agents.search import SearchProblem, evaluated_inside, rank_candidates
from agents.solvers.cost_model import CostModel
from agents.solvers.exact import solve_exact
from agents.solvers.response_losses import response_losses
from env.responses.columns import Floats
from quant.allocation import Allocation

_FEW = 3
"""Best allocations that are in the race where scores alone decide."""


class MakeFinder(Protocol):
    """Prepares a method's own way to find what is best by the posterior's mean."""

    def __call__(self, problem: SearchProblem, config: Any) -> Finder:
        """Return the finder of one search.

        Args:
            problem: What is searched.
            config: The method's own settings.
        """


def solver_of(problem: SearchProblem, config: Any) -> Finder:
    """Return who finds the best of the whole space, by an integer program."""

    def solve(table: Floats) -> Allocation | None:
        return CostModel(problem, response_losses(problem.space, table)).answer(solve_exact)

    return solve


def race(
    problem: SearchProblem,
    knowledge: Knowledge | None,
    best_in_mean: Finder,
) -> None:
    """Use up what is left of the limit.

    With a posterior: first what is best by its mean, if nobody evaluated it yet; else what is best
    in one sample among what was evaluated, so that the close ones come in turn.
    Without: the best few scores' least evaluated one.

    Args:
        problem: Its evaluator must be able to evaluate again.
        knowledge: What is believed; None where scores decide.
        best_in_mean: Finds what is best by the posterior's mean.
    """
    evaluator = problem.evaluator
    while evaluator.remaining > 0:
        times = Counter(evaluation.allocation for evaluation in evaluator.evaluations)
        if knowledge is None:
            best = rank_candidates(problem).candidates[:_FEW]
            chosen = min(best, key=lambda one: times[one], default=None)
        else:
            chosen = _by_posterior(problem, knowledge, best_in_mean)
        if chosen is None:
            return
        evaluator.evaluate([chosen], repeat=times[chosen])


def _by_posterior(
    problem: SearchProblem,
    knowledge: Knowledge,
    best_in_mean: Finder,
) -> Allocation | None:
    posterior = knowledge.posterior()
    best = best_in_world(posterior, best_in_mean)
    if best is not None and best not in problem.seen():
        return best
    inside = tuple({e.allocation: None for e in evaluated_inside(problem) if not e.error})
    if not inside:
        return None
    return inside[int(posterior.sampled_losses(inside)[0].argmin())]
