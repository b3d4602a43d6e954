"""MCKP: second-order sensitivities and a multiple-choice knapsack, greedy or exact."""

from collections.abc import Collection

from agents.mckp.config import MCKPConfig
from agents.search import SearchProblem, SearchResult
from agents.solvers.choice_problem import ChoiceProblem, Picks
from agents.solvers.cost_model import layer_losses
from agents.solvers.exact import solve_exact
from agents.solvers.greedy import Groups
from agents.solvers.solve_once import search_solved

__all__ = ["search", "solve_greedy"]


def solve_greedy(problem: ChoiceProblem, exclude: Collection[Picks] = ()) -> Picks | None:
    """Return the greedy answer, or the best of its neighbours that is not excluded.

    A neighbour holds one group of layers at another choice and settles the rest by the same steps.
    Where two limits pull in opposite directions and the steps end outside, the exact answer is
    taken instead.
    """
    groups = Groups(problem)
    answer = groups.solve()
    if answer is None:
        return solve_exact(problem, exclude=exclude)
    if answer not in exclude:
        return answer
    fresh = [picks for picks in groups.neighbours(answer) if picks not in exclude]
    return fresh[0] if fresh else solve_exact(problem, exclude=exclude)


def search(problem: SearchProblem, config: MCKPConfig, *, seed: int) -> SearchResult:
    """Solve with the configured sensitivities, Gauss-Newton's by default; `seed` has no effect.

    Source: Chen, Wang, Cheng 2021, "Towards Mixed-Precision Quantization of Neural Networks via
    Constrained Optimization" (ICCV, arXiv 2110.06554). The paper chooses weights only; here tied
    activations are chosen with them.
    """
    rises = problem.sensitivities.table(config.sensitivity).rises
    losses = layer_losses(problem.layers, problem.bit_choices, rises)
    solve = solve_greedy if config.solver == "greedy" else _exact
    return search_solved(problem, losses, solve, name="mckp", cost=config.cost)


def _exact(problem: ChoiceProblem, exclude: Collection[Picks]) -> Picks | None:
    return solve_exact(problem, exclude=exclude)
