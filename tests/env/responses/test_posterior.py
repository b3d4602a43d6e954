"""The posterior of hidden responses: exact where that is known, calibrated where it is not."""

from dataclasses import replace

import numpy as np
import pytest

from env.decisions.layer_rules import parse_rules
from env.decisions.space import decision_space
from env.responses.columns import Floats, ResponseColumns, response_columns
from env.responses.laplace import Whitened
from env.responses.leave_one_out import left_out_r2
from env.responses.likelihood import Likelihood
from env.responses.losses import ObservedLosses
from env.responses.posterior import infer_responses
from env.responses.prior import WIDE, ResponsePrior
from env.sensitivity.sensitivities import no_sensitivities
from env.testing import conv_layer, formula_sensitivities
from quant.allocation import Allocation

LAYERS = tuple(
    conv_layer(f"l{k}", "input" if k == 0 else f"t{k}", reads_input=k == 0) for k in range(6)
)
SPACE = decision_space(LAYERS, (2, 3, 4, 8))
RISES = {key: 0.02 * rise for key, rise in formula_sensitivities(LAYERS).items()}
COLUMNS = response_columns(SPACE, RISES)
PRIOR = replace(WIDE, intercept=-1.0, slope=0.7, per_bit=-0.3, common_sd=0.5)


def draw(rng: np.random.Generator, count: int) -> tuple[Allocation, ...]:
    return tuple(
        SPACE.allocation([int(rng.choice(decision.menu)) for decision in SPACE.decisions])
        for _ in range(count)
    )


def drawn_responses(prior: ResponsePrior, rng: np.random.Generator) -> Floats:
    whitened = Whitened.of(prior, COLUMNS)
    return np.exp(whitened.mean + whitened.root @ rng.standard_normal(len(COLUMNS)))


def observe(
    allocations: tuple[Allocation, ...], responses: Floats, noise: float, rng: np.random.Generator
) -> ObservedLosses:
    count = len(allocations)
    errors = 0.5 * noise * np.ones(count)
    losses = COLUMNS.rows(allocations) @ responses
    losses += np.hypot(noise, errors) * rng.standard_normal(count)
    losses += noise * rng.standard_normal()
    return ObservedLosses(allocations=allocations, losses=losses, errors=errors)


def test_variances_are_the_covariances_diagonal() -> None:
    prior = replace(PRIOR, slope_sd=0.3, per_bit_sd=0.1, kind_sd=0.2, decision_per_bit_sd=0.4)
    assert np.allclose(prior.variance(COLUMNS), np.diag(prior.covariance(COLUMNS)))


@pytest.mark.filterwarnings("error")
def test_where_nothing_was_measured_something_is_believed_all_the_same() -> None:
    columns = response_columns(SPACE, no_sensitivities(SPACE))
    all_8 = Allocation.uniform(LAYERS, 8)
    seen = ObservedLosses(allocations=(all_8,), losses=np.zeros(1), errors=np.full(1, 0.01))
    table = infer_responses(PRIOR, columns, seen, seed=0).mean_table
    assert np.isfinite(table).all()
    assert (table[:, :-1] > 0).all()
    assert (table[:, -1] == 0).all()


def held(count: int, worlds: int) -> float:
    """Return how often a 90 % interval holds the loss of an allocation that was not evaluated."""
    rng, inside = np.random.default_rng(count), []
    for seed in range(worlds):
        responses = drawn_responses(PRIOR, rng)
        noise = PRIOR.noise * np.exp(PRIOR.noise_log_sd * rng.standard_normal())
        observed = observe(draw(rng, count), responses, noise, rng)
        others = draw(rng, 20)
        posterior = infer_responses(PRIOR, COLUMNS, observed, seed=seed)
        low, high = np.quantile(posterior.sampled_losses(others), [0.05, 0.95], axis=0)
        truth = COLUMNS.rows(others) @ responses
        inside.append(((low <= truth) & (truth <= high)).mean())
    return float(np.mean(inside))


def test_intervals_hold_as_often_as_they_say() -> None:
    assert 0.82 <= held(12, 25) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 3, 8, 24, 48])
def test_intervals_hold_as_often_as_they_say_in_many_worlds(count: int) -> None:
    assert 0.85 <= held(count, 150) <= 0.95


def test_gradients_are_those_of_the_density() -> None:
    rng = np.random.default_rng(0)
    observed = observe(draw(rng, 7), drawn_responses(PRIOR, rng), 0.01, rng)
    likelihood = Likelihood(rows=COLUMNS.rows(observed.allocations), observed=observed)
    logs, noise = rng.normal(-3, 0.3, (len(COLUMNS), 2)), np.array([[-4.0, -5.0]])
    _, by_logs, by_noise = likelihood.log_density(logs, noise)
    small = 1e-6
    for column in (0, 5):
        moved = logs.copy()
        moved[column] += small
        rise = likelihood.log_density(moved, noise)[0] - likelihood.log_density(logs, noise)[0]
        assert rise / small == pytest.approx(by_logs[column], rel=1e-3)
    rise = likelihood.log_density(logs, noise + small)[0] - likelihood.log_density(logs, noise)[0]
    assert rise / small == pytest.approx(by_noise[0], rel=1e-3)


def test_many_evaluations_tell_the_responses_and_the_noise() -> None:
    rng = np.random.default_rng(1)
    responses = drawn_responses(PRIOR, rng)
    observed = observe(draw(rng, 200), responses, 0.004, rng)
    posterior = infer_responses(PRIOR, COLUMNS, observed, seed=0)
    others = draw(rng, 50)
    truth = COLUMNS.rows(others) @ responses
    assert np.abs(posterior.mean_losses(others) - truth).max() < 0.006
    assert 0.003 < posterior.noise < 0.0055
    assert left_out_r2(posterior) > 0.95


def test_equal_seeds_give_equal_samples() -> None:
    rng = np.random.default_rng(2)
    observed = observe(draw(rng, 5), drawn_responses(PRIOR, rng), 0.01, rng)
    first, again, other = (
        infer_responses(PRIOR, COLUMNS, observed, seed=seed).responses for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()
    assert (first > 0).all()


def test_tables_have_zeros_at_eight_bits_and_gaps_outside_menus() -> None:
    rules = parse_rules(["l1=3/8", "l2=2,4,float/8", "l3=4,8 paired"])
    space = decision_space(LAYERS, (2, 3, 4, 8), rules)
    columns = response_columns(space, RISES)
    assert len(columns.fixed) == 1, "what a rule pins below 8 bits is in every allocation"
    posterior = infer_responses(PRIOR, columns, _nothing(), seed=0)
    table = posterior.mean_table
    for step, decision in enumerate(space.decisions):
        for place, width in enumerate(space.widths):
            known = table[step, place]
            assert np.isnan(known) == (width not in decision.menu)
            assert (known == 0.0) == (width in decision.menu and width >= 8)
    widest = space.allocation([decision.menu[-1] for decision in space.decisions])
    assert posterior.mean_losses([widest])[0] == pytest.approx(
        float(posterior.responses.mean(0)[columns.fixed].sum())
    )


def _nothing() -> ObservedLosses:
    return ObservedLosses(allocations=(), losses=np.zeros(0), errors=np.zeros(0))


def test_columns_of_a_space_without_a_response() -> None:
    space = decision_space(LAYERS, (4, 8), parse_rules(["*=8,float/8"]))
    columns: ResponseColumns = response_columns(space, RISES)
    assert len(columns) == 0
    posterior = infer_responses(PRIOR, columns, _nothing(), seed=0)
    assert posterior.mean_losses([space.uniform(8)]).tolist() == [0.0]
