"""judged: a search with what every method may share around it."""

from typing import Any

from agents.judging.answer import answer_by
from agents.judging.config import Judged
from agents.judging.knowledge import Knowledge
from agents.judging.race import race
from agents.search import Search, SearchProblem, SearchResult, rank_candidates


def judged(search: Search) -> Search:
    """Return the search with a race at its end, and an answer by the posterior, as is configured.

    With neither, it is the search as it stands. Its settings are a `Judged`.
    """

    def search_judged(problem: SearchProblem, config: Any, *, seed: int) -> SearchResult:
        assert isinstance(config, Judged)
        evaluator, held_back = problem.evaluator, config.race
        if held_back and not evaluator.repeatable:
            problem.say("shared weights have no other seeds: no evaluation is kept for the race")
            held_back = 0
        evaluator.held_back = min(held_back, max(0, evaluator.remaining - 1))
        try:
            result = search(problem, config, seed=seed)
        finally:
            evaluator.held_back = 0
        if not config.posterior and not held_back:
            return result
        knowledge = Knowledge(problem, seed=seed) if config.posterior else None
        if held_back:
            race(problem, knowledge)
        evaluator.adopt_past()
        return (
            rank_candidates(problem)
            if knowledge is None
            else answer_by(problem, knowledge.posterior())
        )

    return search_judged
