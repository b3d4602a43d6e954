"""Uniform allocations: every layer at the same bits, as far as the user's rules leave them."""

from agents.search import SearchProblem, SearchResult, rank_candidates
from env.decisions.budget import MEASURED_TOLERANCE
from env.evaluating.evaluation import Evaluation
from quant.allocation import Allocation

_PAIRS = 2
"""Of the widest pairs, so many: evaluations are few."""


def uniform_inside(problem: SearchProblem) -> list[Allocation]:
    """Return the uniform allocations that the table expects inside the budget, most bits first.

    All of one width, and the widest pairs of one width of weights and another of activations:
    where 8-bit activations cost nothing, as in bytes, W3A8 is what one would deploy without a
    search. Those that miss the budget by no more than the tolerance of measured times are kept:
    measuring decides.
    """
    equal = {
        one: 2 * bits for bits, one in problem.space.uniforms().items() if _is_inside(problem, one)
    }
    # Once for the order, where pairs are as wide, and once for the bits, where they are the same.
    bits_of = equal | _widest_pairs(problem) | equal
    return sorted(bits_of, key=bits_of.__getitem__, reverse=True)


def _widest_pairs(problem: SearchProblem) -> dict[Allocation, int]:
    """Return those that no other pair inside exceeds, by the bits of both, the most first."""
    pairs = problem.space.uniform_pairs()
    inside = {pair: one for pair, one in pairs.items() if _is_inside(problem, one)}
    widest = [
        pair
        for pair in inside
        if not any(pair != (w, a) and pair[0] <= w and pair[1] <= a for w, a in inside)
    ]
    return {inside[pair]: sum(pair) for pair in sorted(widest, key=sum, reverse=True)[:_PAIRS]}


def _is_inside(problem: SearchProblem, allocation: Allocation) -> bool:
    return problem.budget.allows(
        latency_ms=problem.table.predict_ms(allocation),
        model_bytes=problem.bytes_of(allocation),
        energy_mj=problem.table.predict_mj(allocation),
        tolerance=MEASURED_TOLERANCE,
    )


def evaluate_uniform(problem: SearchProblem) -> list[Evaluation]:
    """Evaluate the uniform allocations inside the budget, with half of what the limit leaves.

    They count: with them no search ends below the best uniform allocation it could afford. The
    other half is the method's, however short the search. None are where the problem does without
    them.
    """
    if not problem.uniform_first:
        return []
    return _evaluate(problem, at_most=(problem.evaluator.remaining + 1) // 2)


def search(problem: SearchProblem, config: None, *, seed: int) -> SearchResult:
    """Evaluate the uniform allocations and nothing else; `seed` has no effect."""
    _evaluate(problem, at_most=problem.evaluator.remaining)
    return rank_candidates(problem)


def _evaluate(problem: SearchProblem, *, at_most: int) -> list[Evaluation]:
    """The reference is not evaluated twice where all-8 is inside the budget."""
    problem.evaluator.proposer = "uniform"
    done = problem.seen()
    fresh = [allocation for allocation in uniform_inside(problem) if allocation not in done]
    return problem.evaluator.evaluate(fresh[:at_most])
