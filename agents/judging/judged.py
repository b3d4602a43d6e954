"""judged: a search with what every method may share around it."""

import math
from typing import Any

from agents.judging.answer import answer_by
from agents.judging.config import Judged
from agents.judging.knowledge import Knowledge
from agents.judging.race import MakeFinder, race, solver_of
from agents.search import Search, SearchProblem, SearchResult, rank_candidates
from env.responses.leave_one_out import left_out_r2
from env.responses.posterior import ResponsePosterior

_RACED = 4
"""One of so many evaluations may be the race's: a short search has something to choose first."""


def judged(search: Search, finder_of: MakeFinder = solver_of) -> Search:
    """Return the search with a race at its end, and an answer by the posterior, as is configured.

    With neither, it is the search as it stands. Its settings are a `Judged`.

    Args:
        search: Any method.
        finder_of: Makes who finds what is best by the posterior's mean, which the race evaluates.
    """

    def search_judged(problem: SearchProblem, config: Any, *, seed: int) -> SearchResult:
        assert isinstance(config, Judged)
        evaluator, held_back = problem.evaluator, config.race
        if held_back and not evaluator.repeatable:
            problem.say("shared weights have no other seeds: no evaluation is kept for the race")
            held_back = 0
        held_back = min(held_back, evaluator.remaining // _RACED)
        evaluator.held_back = held_back
        try:
            result = search(problem, config, seed=seed)
        finally:
            evaluator.held_back = 0
        if not config.posterior and not held_back:
            return result
        knowledge = None
        if config.posterior:
            knowledge = Knowledge(
                problem, seed=seed, looks=config.looks, interactions=config.interactions
            )
        if held_back:
            race(problem, knowledge, finder_of(problem, config))
        evaluator.adopt_past()
        if knowledge is None:
            return rank_candidates(problem)
        posterior = knowledge.posterior()
        _tell(problem, posterior)
        return answer_by(problem, posterior)

    return search_judged


def _tell(problem: SearchProblem, posterior: ResponsePosterior) -> None:
    """Say what the model that answers is worth."""
    metric, count = problem.reference.metric, len(posterior.observed)
    noise = f"{metric.error(posterior.noise)} {metric.difference_unit}".strip()
    if not metric.more_is_better:
        noise = f"{100 * posterior.noise:.2g} percent"
    explained = left_out_r2(posterior)
    known = ""
    if not math.isnan(explained):
        share = f"{100 * explained:.0f} %"
        known = f"; left out one by one, it explains {share} of the variance of {count} evaluations"
    pairs = "" if posterior.pairs is None else ", in which decisions act on each other"
    problem.say(
        f"the answer is a model's ({posterior.prior.source}){pairs}: one retraining adds {noise} "
        f"of noise{known}"
    )
