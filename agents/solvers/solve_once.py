"""What the methods that solve once share: the answer, then the next best, each evaluated."""

from collections.abc import Callable

from agents.costs.cost_kind import CostKind
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.solvers.cost_model import CostModel, Losses, Solve
from agents.uniform import evaluate_uniform


def search_by_solving(
    problem: SearchProblem,
    losses: Losses,
    solve: Solve,
    *,
    name: str,
    cost: CostKind,
    learnt: Callable[[], Losses] | None = None,
) -> SearchResult:
    """Evaluate the uniform allocations, the method's answer, and then the next best.

    The published methods stop at their answer. Here they may use as many evaluations as the
    others: each of the next best is what the solver answers when everything that was evaluated is
    excluded, with latencies corrected by what was measured so far.

    Args:
        problem: What to solve.
        losses: What every choice loses.
        solve: The method's solver.
        name: Who proposes.
        cost: What the method looks at.
        learnt: Returns what every choice loses by now, as evaluations say; None for methods that
            never look at them, as published.

    Raises:
        BudgetError: the cost needs a meter that is not there.
    """
    evaluate_uniform(problem)
    evaluator = problem.evaluator
    evaluator.proposer = name
    model = CostModel(problem, losses, cost)
    while evaluator.remaining > 0:
        seen = problem.seen()
        if learnt is not None:
            model = CostModel(problem, learnt(), cost)
        allocation = model.answer(solve, seen)
        if allocation is None or allocation in seen:
            break
        evaluator.evaluate([allocation])
    return rank_candidates(problem)
