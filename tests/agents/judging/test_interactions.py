"""Interactions on simulated worlds: they pay where decisions act on each other, and only there."""

from dataclasses import replace

import numpy as np
import pytest

from agents.bayes.config import BayesConfig
from agents.judging.best_in_world import best_in_world
from agents.judging.race import solver_of
from agents.mckp.config import MCKPConfig
from agents.methods import METHODS
from agents.testing import LOUD, QUIET, World, WorldRules, calibrated_prior, draw_world, regrets

EVALUATIONS = 24
SHARES = (0.05, 0.15, 0.30)
RULES = {"quiet": QUIET, "loud": LOUD}


def acting(rules: WorldRules) -> WorldRules:
    """Return rules of which no sum explains 5 to 25 % of the variance of losses."""
    return replace(rules, interaction=0.3)


def found(world: World, rules: WorldRules, seed: int) -> tuple[float, float, bool]:
    """Return regrets with interactions and without, and whether they were believed at the end."""
    share, out, believed = SHARES[seed % 3], [], False
    for on in (True, False):
        problem = world.problem(
            share=share, limit=EVALUATIONS, seed=seed, prior=calibrated_prior(rules)
        )
        result = METHODS["bayes"].search(problem, BayesConfig(interactions=on), seed=seed)
        assert result.posterior is not None
        believed |= result.posterior.pairs is not None
        out += regrets(world, share, result.candidates[:1])
    return out[0], out[1], believed


def test_additive_worlds_are_what_they_were() -> None:
    plain, paired = draw_world(QUIET, 3), draw_world(acting(QUIET), 3)
    assert (plain.responses == paired.responses).all()
    assert plain.rises == paired.rises
    assert not plain.pairs.any()
    some = plain.space.uniform(3)
    assert plain.loss(some) != paired.loss(some)
    assert plain.loss(some) == pytest.approx(float(plain.responses[:, 1].sum()))


def test_the_answer_is_better_where_decisions_act_on_each_other() -> None:
    """In one world that was chosen for it; the slow test has many that were not."""
    ours, sums, believed = found(draw_world(acting(QUIET), 15), QUIET, 15)
    assert believed
    assert ours < 0.5 * sums


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", RULES)
def test_interactions_pay_where_they_are_and_cost_nothing_where_they_are_not(name: str) -> None:
    rules = RULES[name]
    for drawn, pay in ((acting(rules), True), (rules, False)):
        each = [found(draw_world(drawn, seed), rules, seed) for seed in range(100, 124)]
        ours, sums, believed = np.array(each).T
        gained = sums - ours
        error = gained.std(ddof=1) / np.sqrt(len(gained))
        print(
            f"\n{name} (simulated), {'acting' if pay else 'additive'}: {ours.mean():.4f}, sums "
            f"{sums.mean():.4f}, gained {gained.mean():.4f} +- {error:.4f}, believed in "
            f"{100 * believed.mean():.0f} %"
        )
        if pay and name == "quiet":
            assert gained.mean() > 2 * error
        else:  # noise hides them in loud worlds; never believed, they cost nothing at all
            assert gained.mean() >= -2 * error


def test_a_world_of_pairs_is_proposed_in() -> None:
    world = draw_world(acting(QUIET), 15)
    problem = world.problem(share=0.05, limit=EVALUATIONS, seed=15, prior=calibrated_prior(QUIET))
    config = BayesConfig(interactions=True)
    posterior = METHODS["bayes"].search(problem, config, seed=15).posterior
    assert posterior is not None
    assert posterior.pairs is not None
    find = solver_of(problem, config)
    for sample in (None, 0, 1):
        sums = find(posterior.mean_table if sample is None else posterior.tables[sample])
        best = best_in_world(posterior, find, sample)
        assert sums is not None
        assert best is not None
        losses = posterior.sampled_losses([best, sums])
        ours, theirs = losses.mean(0) if sample is None else losses[sample]
        assert ours <= theirs


@pytest.mark.parametrize("method", ["ppo", "mckp"])
def test_every_method_with_a_posterior_may_believe_them(method: str) -> None:
    world = draw_world(acting(QUIET), 15)
    problem = world.problem(share=0.05, limit=16, seed=15, prior=calibrated_prior(QUIET))
    settings = METHODS[method].defaults()
    result = METHODS[method].search(
        problem, replace(settings, posterior=True, interactions=True), seed=15
    )
    assert result.posterior is not None
    assert all(
        problem.budget.admits(e) for e in problem.evaluator.evaluations if e.proposer == method
    )


def test_off_unless_asked_for() -> None:
    assert not any(config.interactions for config in (BayesConfig(), MCKPConfig()))
