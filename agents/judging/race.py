"""The race: a method's last evaluations go to what looks best, with other seeds."""

from collections import Counter

from agents.judging.knowledge import Knowledge
from agents.search import SearchProblem, evaluated_inside, rank_candidates
from agents.solvers.cost_model import CostModel
from agents.solvers.exact import solve_exact
from agents.solvers.response_losses import response_losses
from quant.allocation import Allocation

_FEW = 3
"""Best allocations that are in the race where scores alone decide."""


def race(problem: SearchProblem, knowledge: Knowledge | None) -> None:
    """Use up what is left of the limit.

    With a posterior: first the best posterior mean of the whole space, if nobody evaluated it yet;
    else what is best in one sample among what was evaluated, so that the close ones come in turn.
    Without: the best few scores' least evaluated one.

    Args:
        problem: Its evaluator must be able to evaluate again.
        knowledge: What is believed; None where scores decide.
    """
    evaluator = problem.evaluator
    while evaluator.remaining > 0:
        times = Counter(evaluation.allocation for evaluation in evaluator.evaluations)
        if knowledge is None:
            best = rank_candidates(problem).candidates[:_FEW]
            chosen = min(best, key=lambda one: times[one], default=None)
        else:
            chosen = _by_posterior(problem, knowledge)
        if chosen is None:
            return
        evaluator.evaluate([chosen], repeat=times[chosen])


def _by_posterior(problem: SearchProblem, knowledge: Knowledge) -> Allocation | None:
    posterior = knowledge.posterior()
    losses = response_losses(problem.space, posterior.mean_table)
    best = CostModel(problem, losses).answer(solve_exact)
    if best is not None and best not in problem.seen():
        return best
    inside = tuple({e.allocation: None for e in evaluated_inside(problem) if not e.error})
    if not inside:
        return None
    return inside[int(posterior.sampled_losses(inside)[0].argmin())]
