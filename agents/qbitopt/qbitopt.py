"""QBitOpt: bits solved for during training, by a convex program with a hard budget."""

from dataclasses import replace

from agents.costs.spending import spending_of
from agents.qbitopt.config import QBitOptConfig
from agents.qbitopt.training import QBitOptTraining
from agents.search import SearchProblem, SearchResult, ranked_candidates
from agents.uniform import evaluate_uniform
from env.decisions.budget import MEASURED_TOLERANCE
from env.errors import BudgetError
from env.evaluating.evaluation import Evaluation

__all__ = ["search"]


def search(problem: SearchProblem, config: QBitOptConfig, *, seed: int) -> SearchResult:
    """Train with bits that are solved for again and again, then frozen, and measure the answer.

    The published method stops at its answer. Here it may use as many evaluations as the others,
    for the allocations whose noise is next least. Where an answer is outside the budget as
    measured, what follows is solved for limits that are smaller by as much, until nothing would
    meet them: then the measurements were of a slow moment, and the budget is asked for again.
    Source: Peters et al. 2023, "QBitOpt: Fast and Accurate Bitwidth Reallocation during Training"
    (ICCVW); reconstructed, since of its text only the abstract could be read.
    """
    evaluate_uniform(problem)
    evaluator = problem.evaluator
    evaluator.proposer = "qbitopt"
    if evaluator.remaining <= 0:
        return ranked_candidates(problem)
    training = QBitOptTraining(problem, config, seed=seed)
    training.train()
    asked = problem
    while evaluator.remaining > 0:
        seen = {evaluation.allocation: None for evaluation in evaluator.evaluations}
        try:
            spending = spending_of(asked)
        except BudgetError:
            if asked is problem:
                raise
            asked = problem
            continue
        answer = training.next_best(spending, seen)
        if answer is None:
            break
        evaluation = evaluator.evaluate([answer])[0]
        if not evaluation.error and not _inside(problem, evaluation):
            asked = _tightened(asked, problem, evaluation)
    evaluator.adopt_past()
    return ranked_candidates(problem)


def _tightened(
    asked: SearchProblem, problem: SearchProblem, evaluation: Evaluation
) -> SearchProblem:
    """Return the problem with what was asked for made smaller by what was measured over it."""
    budget, limits = asked.budget, problem.budget
    if limits.latency_ms is not None and evaluation.latency_ms is not None:
        share = min(1.0, limits.latency_ms / evaluation.latency_ms)
        budget = replace(budget, latency_ms=(budget.latency_ms or 0.0) * share)
    if limits.energy_mj is not None and evaluation.energy_mj is not None:
        share = min(1.0, limits.energy_mj / evaluation.energy_mj)
        budget = replace(budget, energy_mj=(budget.energy_mj or 0.0) * share)
    return replace(asked, budget=budget)


def _inside(problem: SearchProblem, evaluation: Evaluation) -> bool:
    return problem.budget.allows(
        latency_ms=evaluation.latency_ms,
        model_bytes=evaluation.model_bytes,
        energy_mj=evaluation.energy_mj,
        tolerance=MEASURED_TOLERANCE,
    )
