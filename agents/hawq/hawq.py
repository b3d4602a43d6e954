"""HAWQ-V3: Hessian traces and an integer program on what the device measured."""

from agents.hawq.config import HAWQConfig
from agents.search import SearchProblem, SearchResult
from agents.solvers.cost_model import layer_losses
from agents.solvers.exact import solve_exact
from agents.solvers.solve_once import search_by_solving


def search(problem: SearchProblem, config: HAWQConfig, *, seed: int) -> SearchResult:
    """Solve the integer program with Hessian sensitivities; `seed` has no effect.

    Source: Yao et al. 2021, "HAWQ-V3: Dyadic Neural Network Quantization" (ICML), sections 3.3 and
    3.4. The paper gives a layer's weights and activations the same bits, 4 or 8; here they are
    chosen apart, from all choices, with activation traces as in HAWQ-V2.
    """
    rises = problem.sensitivities.table("hessian").rises
    losses = layer_losses(problem.space, rises)
    return search_by_solving(problem, losses, solve_exact, name="hawq", cost=config.cost)
