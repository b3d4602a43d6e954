"""QBitOpt: bits solved for during training, by a convex program with a hard budget."""

from dataclasses import replace

from agents.qbitopt_training import QBitOptTraining
from agents.search import SearchProblem, SearchResult
from agents.spending import spending_of
from env.budget import MEASURED_TOLERANCE
from env.evaluation import Evaluation

__all__ = ["search"]


def search(problem: SearchProblem, *, seed: int) -> SearchResult:
    """Train with bits that are solved for again and again, then frozen, and measure the answer.

    One evaluation is all it takes where the answer is inside the budget as measured. Where it is
    not, the program is solved once more for limits smaller by what it was over, until it is inside
    or no evaluation is left.
    Source: Peters et al. 2023, "QBitOpt: Fast and Accurate Bitwidth Reallocation during Training"
    (ICCVW); reconstructed, since of its text only the abstract could be read.
    """
    training = QBitOptTraining(problem, seed=seed)
    training.train()
    evaluator = problem.evaluator
    evaluator.proposer = "qbitopt"
    asked, columns = problem, training.columns
    while True:
        answer = spending_of(asked).allocation(columns)
        known = {evaluation.allocation for evaluation in evaluator.evaluations}
        if evaluator.remaining <= 0 or answer in known:
            break
        evaluation = evaluator.evaluate([answer])[0]
        if evaluation.error or _inside(problem, evaluation):
            break
        asked = _tightened(asked, problem, evaluation)
        columns = training.solve(spending_of(asked))
    evaluator.adopt_past()
    return SearchResult(candidates=(answer,))


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
