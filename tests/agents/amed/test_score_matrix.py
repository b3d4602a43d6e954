"""AMED's chain against the distribution it claims to sample, and the scores it learns."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from agents.amed.score_matrix import Sampler, ScoreMatrix
from agents.costs.spending import Columns
from tests.agents.instances import random_spending

DECISIONS, CHOICES = 3, 3
STATES = list(itertools.product(range(CHOICES), repeat=DECISIONS))
SAMPLES, THINNING = 4000, 3
"""A sweep moves every decision, so three of them leave hardly any trace of the state before."""


def cheap(columns: Columns) -> bool:
    """A filter that ties the decisions together: 23 of the 27 states are allowed."""
    return int(columns.sum()) <= 4


def matrix() -> ScoreMatrix:
    scores = ScoreMatrix(np.full(DECISIONS, CHOICES), 0.5, np.random.default_rng(1))
    scores.scores *= 0.7  # so that the rarest state of the squares is still drawn
    return scores


def target(scores: ScoreMatrix, power: int) -> dict[tuple[int, ...], float]:
    shares = scores.probabilities() ** power
    weights = {
        state: float(np.prod(shares[range(DECISIONS), state]))
        for state in STATES
        if cheap(np.array(state))
    }
    total = sum(weights.values())
    return {state: weight / total for state, weight in weights.items()}


def p_value(sampler: Sampler, power: int) -> float:
    scores, rng = matrix(), np.random.default_rng(7)
    state = np.zeros(DECISIONS, dtype=np.int64)
    counts = dict.fromkeys(target(scores, power), 0)
    for step in range(SAMPLES * THINNING):
        state = scores.sample(state, rng, sampler, cheap)
        if step % THINNING == 0:
            counts[tuple(int(column) for column in state)] += 1
    expected = [share * SAMPLES for share in target(scores, power).values()]
    assert min(expected) >= 5, "too few samples for the test"
    return float(chisquare(list(counts.values()), expected).pvalue)


def test_the_exact_sampler_passes_a_chi_square_test_against_its_target() -> None:
    assert p_value("exact", 1) > 0.01


def test_the_published_sampler_is_the_square_of_it() -> None:
    assert p_value("sharpened", 2) > 0.01
    assert p_value("sharpened", 1) < 1e-6


def test_only_what_was_chosen_learns() -> None:
    scores = matrix()
    before = scores.scores.copy()
    columns = np.array([2, 0, 1])
    scores.update(columns, -1.0, 0.25)
    chosen = np.zeros_like(before, dtype=bool)
    chosen[range(DECISIONS), columns] = True
    assert (scores.scores[~chosen] == before[~chosen]).all()
    assert scores.scores[chosen] == pytest.approx(0.75 * before[chosen] - 0.25)
    scores.update(columns, 0.5, 0.0)
    assert scores.scores[chosen] == pytest.approx(0.75 * before[chosen] + 0.25)


def test_probabilities_follow_the_temperature() -> None:
    scores = ScoreMatrix(np.array([2]), 0.5, np.random.default_rng(0))
    scores.scores[:] = [[0.0, 1.0]]
    assert scores.probabilities()[0, 1] == pytest.approx(1 / (1 + np.exp(-2.0)))


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["exact", "sharpened"]))
def test_the_chain_never_leaves_a_budget(seed: int, sampler: Sampler) -> None:
    spending, _, _ = random_spending(seed)
    rng = np.random.default_rng(seed)
    scores = ScoreMatrix(spending.choices, 0.2, rng)
    state = spending.nearest(rng.integers(spending.choices))
    for _ in range(2):
        state = scores.sample(state, rng, sampler, lambda row: bool(spending.inside(row)))
        assert spending.inside(state)
        assert (state < spending.choices).all()
