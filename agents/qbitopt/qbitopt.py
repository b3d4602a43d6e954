"""QBitOpt: bits solved for during training, by a convex program with a hard budget."""

from dataclasses import replace

from agents.costs.spending import spending_of
from agents.qbitopt.config import QBitOptConfig
from agents.qbitopt.training import QBitOptTraining
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.uniform import evaluate_uniform
from env.decisions.budget import MEASURED_TOLERANCE, Budget
from env.errors import BudgetError
from env.evaluating.evaluation import Evaluation
from env.practice.scales import Scales


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
        return rank_candidates(problem)
    training = QBitOptTraining(problem, config, seed=seed)
    training.train()
    asked = problem
    while evaluator.remaining > 0:
        try:
            spending = spending_of(asked)
        except BudgetError:
            if asked is problem:
                raise
            asked = problem
            continue
        answer = training.next_best(spending, problem.seen())
        if answer is None:
            break
        evaluation = evaluator.evaluate([answer])[0]
        if not evaluation.error and not problem.budget.admits(
            evaluation, tolerance=MEASURED_TOLERANCE
        ):
            asked = _tighten(asked, problem.budget, evaluation)
    evaluator.adopt_past()
    return rank_candidates(problem)


def _tighten(asked: SearchProblem, limits: Budget, evaluation: Evaluation) -> SearchProblem:
    """Return the problem with what was asked for made smaller by what was measured over limits."""
    over = Scales(
        latency=_excess(evaluation.latency_ms, limits.latency_ms),
        energy=_excess(evaluation.energy_mj, limits.energy_mj),
    )
    return replace(asked, budget=over.correct(asked.budget))


def _excess(found: float | None, limit: float | None) -> float:
    """Return found over limit, at least 1; 1 where one of them is not known."""
    return 1.0 if found is None or limit is None else max(1.0, found / limit)
