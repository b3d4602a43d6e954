"""The answer by the posterior: what was evaluated inside the budget, by its mean quality."""

from dataclasses import replace

from agents.search import SearchProblem, SearchResult, evaluated_inside
from env.evaluating.evaluation import Evaluation
from env.evaluating.ranking import rank
from env.responses.posterior import ResponsePosterior


def believed(problem: SearchProblem, posterior: ResponsePosterior) -> list[Evaluation]:
    """Return what was evaluated inside the budget, best first, with the posterior's mean scores.

    The scores are a model's; times and sizes are the evaluations'.
    """
    latest = {e.allocation: e for e in evaluated_inside(problem) if not e.error}
    reference = problem.reference
    losses = posterior.mean_losses(tuple(latest))
    modelled = [
        replace(evaluation, repeat=0, score=reference.metric.score(reference.quality - float(lost)))
        for evaluation, lost in zip(latest.values(), losses, strict=True)
    ]
    return rank(modelled, reference, problem.reward)


def answer_by(problem: SearchProblem, posterior: ResponsePosterior) -> SearchResult:
    """Return what was evaluated inside the budget, the best posterior mean first."""
    ordered = believed(problem, posterior)
    return SearchResult(candidates=tuple(e.allocation for e in ordered), posterior=posterior)
