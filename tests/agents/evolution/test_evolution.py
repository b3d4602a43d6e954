"""Evolution keeps the budget while it changes, and believes no single score."""

from collections import Counter

import numpy as np

from agents.costs.spending import spending_of
from agents.evolution.config import EvolutionConfig
from agents.evolution.evolution import search
from agents.evolution.mutation import mutate
from agents.testing import LOUD, calibrated_prior, draw_world
from tests.agents.instances import random_spending


def test_mutations_are_inside_and_leave_no_level_to_raise() -> None:
    for seed in range(60):
        spending, _, _ = random_spending(seed)
        rng = np.random.default_rng(seed)
        changed = mutate(spending.nearest(rng.integers(spending.choices)), spending, 3, rng)
        assert spending.inside(changed)
        assert ((changed >= 0) & (changed < spending.choices)).all()


def test_a_mutation_is_near_its_parent() -> None:
    problem = draw_world(LOUD, 0).problem(share=0.3, limit=1, seed=0, prior=calibrated_prior(LOUD))
    spending, rng = spending_of(problem), np.random.default_rng(0)
    parent = spending.nearest(spending.choices - 1)
    parent = mutate(parent, spending, 1, rng)
    changed = [int((mutate(parent, spending, 1, rng) != parent).sum()) for _ in range(50)]
    assert 0 < np.mean(changed) < len(parent) / 2


def test_the_best_offspring_are_evaluated_again() -> None:
    """On a simulated world, generations of three and one survivor each."""
    problem = draw_world(LOUD, 0).problem(share=0.3, limit=14, seed=0, prior=calibrated_prior(LOUD))
    search(problem, EvolutionConfig(offspring=3, survivors=1), seed=0)
    own = [e for e in problem.evaluator.evaluations if e.proposer == "evolution"]
    times = Counter(e.allocation for e in own)
    assert sorted(set(times.values())) == [1, 2]
    first, again = own[:3], own[3]
    assert again.repeat == 1
    assert again.allocation == max(first, key=lambda e: e.score).allocation
