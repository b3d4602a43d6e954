"""Looks on simulated worlds: the posterior stays calibrated, and needs fewer evaluations."""

from dataclasses import replace

import numpy as np
import pytest

from agents.bayes.config import BayesConfig
from agents.methods import METHODS
from agents.testing import WorldRules, calibrated_prior, draw_world, regrets
from tests.agents.bayes.test_worlds import RULES, held

SHARE = 0.05
"""Of the way from the fastest allocation to all-8: the budget that leaves most to win."""


def mean_regret(rules: WorldRules, evaluations: int, worlds: int, *, looks: bool) -> float:
    """Return bayes' mean over worlds, in quality."""
    found = []
    for seed in range(worlds):
        world, prior = draw_world(rules, seed), calibrated_prior(replace(rules, look_bias=0.5))
        problem = world.problem(share=SHARE, limit=evaluations, seed=seed, prior=prior)
        result = METHODS["bayes"].search(problem, BayesConfig(looks=looks), seed=seed)
        found += regrets(world, SHARE, result.candidates[:1])
    return float(np.mean(found))


def test_intervals_hold_with_looks_in_some_worlds() -> None:
    learnt, drawn, _ = RULES["quiet"]
    assert 0.8 <= held(learnt, drawn, 8, 6, looks=True) <= 1.0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", [4, 24])
@pytest.mark.parametrize("name", ["quiet", "loud"])
def test_intervals_hold_with_looks(name: str, count: int) -> None:
    learnt, drawn, _ = RULES[name]
    share = held(learnt, drawn, 120, count, looks=True)
    print(f"\n{name} (simulated), {count} evaluations with looks: {100 * share:.1f} % held")
    assert 0.85 <= share <= 0.95


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("bias", [0.5, 1.0])
@pytest.mark.parametrize("evaluations", [8, 24])
@pytest.mark.parametrize("name", ["quiet", "loud"])
def test_looks_do_not_hurt(name: str, evaluations: int, bias: float) -> None:
    rules = replace(RULES[name][0], look_bias=bias)
    plain, looking = (mean_regret(rules, evaluations, 16, looks=looks) for looks in (False, True))
    print(
        f"\n{name} (simulated), budget 5 %, {evaluations} evaluations, bias {bias}: regret "
        f"{plain:.4f}, with looks {looking:.4f}"
    )
    assert looking <= 1.5 * plain + rules.noise / 4
