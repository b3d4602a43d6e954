"""Uniform allocations: every layer at the same bits, as far as the user's rules leave them."""

from agents.search import SearchProblem, SearchResult, rank_candidates
from env.decisions.budget import MEASURED_TOLERANCE
from env.evaluating.evaluation import Evaluation
from quant.allocation import Allocation


def uniform_inside(problem: SearchProblem) -> list[Allocation]:
    """Return the uniform allocations that the table expects inside the budget, widest first.

    Those that miss it by no more than the tolerance of measured times are kept: measuring decides.
    """
    return [
        allocation
        for allocation in problem.space.uniforms().values()
        if problem.budget.allows(
            latency_ms=problem.table.predict_ms(allocation),
            model_bytes=problem.bytes_of(allocation),
            energy_mj=problem.table.predict_mj(allocation),
            tolerance=MEASURED_TOLERANCE,
        )
    ]


def evaluate_uniform(problem: SearchProblem) -> list[Evaluation]:
    """Evaluate the uniform allocations inside the budget, as far as the limit allows.

    They count: with them no search ends below the best uniform allocation it could afford. The
    reference is not evaluated twice where all-8 is inside the budget. None are where the problem
    does without them.
    """
    if not problem.uniform_first:
        return []
    evaluator = problem.evaluator
    evaluator.proposer = "uniform"
    done = problem.seen()
    fresh = [allocation for allocation in uniform_inside(problem) if allocation not in done]
    return evaluator.evaluate(fresh[: evaluator.remaining])


def search(problem: SearchProblem, config: None, *, seed: int) -> SearchResult:
    """Evaluate the uniform allocations and nothing else; `seed` has no effect."""
    evaluate_uniform(problem)
    return rank_candidates(problem)
