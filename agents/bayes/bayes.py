"""Bayes: the integer program on samples of the posterior, never the same allocation twice."""

from collections.abc import Collection
from functools import partial

from agents.bayes.config import BayesConfig
from agents.judging.best_in_world import best_in_world
from agents.judging.knowledge import Knowledge
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.solvers.cost_model import CostModel
from agents.solvers.exact import solve_exact
from agents.solvers.response_losses import response_losses
from agents.uniform import evaluate_uniform
from env.responses.columns import Floats
from quant.allocation import Allocation


def search(problem: SearchProblem, config: BayesConfig, *, seed: int) -> SearchResult:
    """Evaluate what is best by the posterior's mean, then in one sample of it after another.

    Where responses are known well all samples agree; where they are not, the samples differ, and
    what is evaluated tells. The budget is kept as the evaluations so far correct it.
    Source: Thompson 1933, "On the likelihood that one unknown probability exceeds another"
    (Biometrika 25); Russo et al. 2018, "A Tutorial on Thompson Sampling", with a
    solver.
    """
    evaluate_uniform(problem)
    evaluator = problem.evaluator
    evaluator.proposer = "bayes"
    knowledge = None
    if evaluator.remaining > 0:
        knowledge = Knowledge(
            problem, seed=seed, looks=config.looks, interactions=config.interactions
        )
        worlds: list[int | None] = [None]  # the mean, then the samples
    while knowledge is not None and evaluator.remaining > 0:
        seen, wanted = problem.seen(), min(evaluator.parallel, evaluator.remaining)
        asked: list[Allocation] = []
        posterior = knowledge.posterior()
        for world in [*worlds, *range(len(posterior.responses))][:wanted]:
            find = partial(_solve, problem, {*seen, *asked})
            allocation = best_in_world(posterior, find, world)
            if allocation is not None and allocation not in seen and allocation not in asked:
                asked.append(allocation)
        if not asked:
            break
        evaluator.evaluate(asked)
        worlds = []
    return rank_candidates(problem)


def _solve(
    problem: SearchProblem, without: Collection[Allocation], table: Floats
) -> Allocation | None:
    model = CostModel(problem, response_losses(problem.space, table))
    return model.answer(solve_exact, without)
