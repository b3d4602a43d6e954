"""MCKP: second-order sensitivities and a multiple-choice knapsack, greedy or exact."""

from collections.abc import Collection
from functools import partial

from agents.judging.knowledge import Knowledge
from agents.mckp.config import MCKPConfig
from agents.search import SearchProblem, SearchResult
from agents.solvers.choice_problem import ChoiceProblem, Picks
from agents.solvers.cost_model import Losses, layer_losses
from agents.solvers.exact import solve_exact
from agents.solvers.greedy import Groups, pick_fresh
from agents.solvers.response_losses import response_losses
from agents.solvers.solve_once import search_by_solving


def solve_greedy(problem: ChoiceProblem, exclude: Collection[Picks] = ()) -> Picks | None:
    """Return the greedy answer, or the best of its neighbours that is not excluded.

    Where two limits pull in opposite directions and the steps end outside, the exact answer is
    taken instead.
    """
    groups = Groups(problem)
    return pick_fresh(groups, groups.solve(), exclude)


def search(problem: SearchProblem, config: MCKPConfig, *, seed: int) -> SearchResult:
    """Solve with the configured sensitivities, Gauss-Newton's by default.

    `seed` has no effect but with `posterior`: then what a choice loses is the posterior's mean,
    which every evaluation corrects.
    Source: Chen, Wang, Cheng 2021, "Towards Mixed-Precision Quantization of Neural Networks via
    Constrained Optimization" (ICCV, arXiv 2110.06554). The paper chooses weights only; here tied
    activations are chosen with them.
    """
    rises = problem.sensitivities.table(config.sensitivity).rises
    losses = layer_losses(problem.space, rises)
    solve = solve_greedy if config.solver == "greedy" else solve_exact
    learnt = None
    if config.posterior:
        knowledge = Knowledge(
            problem, seed=seed, looks=config.looks, interactions=config.interactions
        )
        learnt = partial(_mean_losses, problem, knowledge)
    return search_by_solving(problem, losses, solve, name="mckp", cost=config.cost, learnt=learnt)


def _mean_losses(problem: SearchProblem, knowledge: Knowledge) -> Losses:
    return response_losses(problem.space, knowledge.posterior().mean_table)
