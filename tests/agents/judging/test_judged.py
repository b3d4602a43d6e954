"""What every method may share: a race with other seeds, and an answer by the posterior."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from agents.bayes.config import BayesConfig
from agents.judging.config import Judged
from agents.judging.judged import judged
from agents.mckp import mckp
from agents.mckp.config import MCKPConfig
from agents.methods import METHODS
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.testing import LOUD, QUIET, calibrated_prior, draw_world, regrets
from agents.uniform import evaluate_uniform
from env.errors import TaskError
from env.evaluating.ranking import rank

LIMIT = 10


def loud_problem(seed: int = 0) -> SearchProblem:
    world = draw_world(LOUD, 3)
    return world.problem(share=0.3, limit=LIMIT, seed=seed, prior=calibrated_prior(LOUD))


def uniform_only(problem: SearchProblem, config: Judged, *, seed: int) -> SearchResult:
    evaluate_uniform(problem)
    return rank_candidates(problem)


@pytest.mark.parametrize("posterior", [False, True])
def test_the_last_evaluations_are_repeats_of_the_best(posterior: bool) -> None:
    problem = loud_problem()
    result = judged(uniform_only)(problem, Judged(posterior=posterior, race=4), seed=0)
    evaluations = problem.evaluator.evaluations
    assert problem.evaluator.remaining == 0, "what the method leaves is raced, too"
    times = Counter(e.allocation for e in evaluations)
    for allocation, count in times.items():
        found = [e.repeat for e in evaluations if e.allocation == allocation]
        assert found == list(range(count))
    assert max(times.values()) > 1
    assert (result.posterior is not None) == posterior
    assert result.candidates[0] in times


def test_without_either_the_search_is_as_published() -> None:
    plain, wrapped = loud_problem(), loud_problem()
    config = MCKPConfig()
    found = METHODS["mckp"].search(wrapped, config, seed=0)
    assert mckp.search(plain, config, seed=0) == found
    assert found.posterior is None
    assert plain.evaluator.evaluations == wrapped.evaluator.evaluations


def test_shared_weights_are_not_raced() -> None:
    problem = loud_problem()
    problem.evaluator.repeatable = False  # type: ignore[misc]
    said: list[str] = []
    problem = replace(problem, say=said.append)
    judged(uniform_only)(problem, Judged(race=4), seed=0)
    assert len(said) == 1
    assert all(e.repeat == 0 for e in problem.evaluator.evaluations)


def test_what_the_model_is_worth_is_said() -> None:
    said: list[str] = []
    problem = replace(loud_problem(), say=said.append)
    METHODS["bayes"].search(problem, BayesConfig(), seed=0)
    (sentence,) = said
    assert "the answer is a model's (regressed over simulated worlds" in sentence
    assert "of noise; left out one by one, it explains" in sentence
    assert sentence.endswith(f"% of the variance of {LIMIT} evaluations")


def test_repeats_count_as_one_mean_score() -> None:
    problem = loud_problem()
    (first,) = problem.evaluator.evaluate([problem.space.uniform(2)])
    (other,) = problem.evaluator.evaluate([problem.space.uniform(3)])
    lucky = replace(first, score=other.score + 0.1)
    again = replace(first, score=other.score - 0.3, repeat=1)
    ordered = rank([lucky, other, again], problem.reference, problem.reward)
    assert ordered == [other, lucky]
    assert rank([lucky, other], problem.reference, problem.reward) == [lucky, other]


def test_equal_seeds_search_equally() -> None:
    runs = []
    for seed in (1, 1, 2):
        problem = loud_problem()
        result = METHODS["bayes"].search(problem, BayesConfig(), seed=seed)
        runs.append((result, [e.allocation for e in problem.evaluator.evaluations]))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_the_posterior_of_mckp_learns_from_what_was_evaluated() -> None:
    """A single world, in which the sensitivities are wrong; simulated."""
    world = draw_world(QUIET, 1)
    found = {}
    for posterior in (False, True):
        problem = world.problem(share=0.05, limit=16, seed=0, prior=calibrated_prior(QUIET))
        result = METHODS["mckp"].search(problem, MCKPConfig(posterior=posterior), seed=0)
        found[posterior] = regrets(world, 0.05, result.candidates[:1])[0]
    assert found[True] <= found[False]
    assert np.isfinite(found[True])


@pytest.mark.parametrize("name", ["bayes", "mckp"])
def test_a_race_that_is_none_is_refused_by_its_key(name: str) -> None:
    config = METHODS[name].config
    assert config is not None
    with pytest.raises(TaskError, match=rf"{name}\.race: expected at least 0, found -1"):
        config(race=-1)
