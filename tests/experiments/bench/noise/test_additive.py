"""Additive model: made-up tables whose noise and additivity are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.bench.noise.additive import fit_additive, noise_power_columns, width_columns
from experiments.bench.noise.bootstrap import Floats

WIDTHS = np.array([2, 3, 4, 8])


def draw(allocations: int, decisions: int, seed: int = 0) -> NDArray[np.int64]:
    """Return random bits `[allocations, decisions]`."""
    return WIDTHS[np.random.default_rng(seed).integers(0, 4, (allocations, decisions))]


def additive(choices: NDArray[np.int64], seed: int = 1) -> Floats:
    """Return a sum of an effect of every decision's width, scaled to standard deviation 1."""
    effects = np.random.default_rng(seed).normal(size=(choices.shape[1], 9))
    values = np.sum([effects[place, column] for place, column in enumerate(choices.T)], axis=0)
    scaled: Floats = (values - values.mean()) / values.std()
    return scaled


def noise(count: int, deviation: float, seed: int = 2) -> Floats:
    return np.random.default_rng(seed).normal(0, deviation, count)


def test_a_sum_of_effects_is_explained_whole() -> None:
    choices = draw(150, 8)
    model = fit_additive(width_columns(choices), 3 + additive(choices), 0.0)
    assert model.r2 is not None
    assert model.r2 > 0.999
    assert model.r2_beyond_noise == pytest.approx(model.r2)
    np.testing.assert_allclose(model.predictions, 3 + additive(choices), atol=0.1)


def test_noise_of_known_size_is_taken_off_the_share() -> None:
    choices = draw(600, 8)
    model = fit_additive(width_columns(choices), additive(choices) + noise(600, 0.5), 0.25)
    assert model.r2 == pytest.approx(1 / 1.25, abs=0.04)
    assert model.r2_beyond_noise == pytest.approx(1, abs=0.05)
    assert model.error == pytest.approx(0.5, rel=0.1)


def test_noise_alone_is_not_explained() -> None:
    choices = draw(100, 8)
    values = noise(100, 1)
    model = fit_additive(width_columns(choices), values, 0.5)
    assert model.r2 is not None
    assert model.r2 < 0.1
    assert fit_additive(width_columns(choices), values, 4.0).r2_beyond_noise is None


def test_what_two_decisions_do_together_is_not_explained() -> None:
    choices = draw(600, 4)
    together = np.sign((choices[:, 0] < 4) - 0.5) * np.sign((choices[:, 1] < 4) - 0.5)
    half = fit_additive(width_columns(choices), additive(choices) + together, 0.0)
    assert half.r2 == pytest.approx(0.5, abs=0.08)
    assert half.r2_beyond_noise == pytest.approx(half.r2)
    alone = fit_additive(width_columns(choices), together, 0.0)
    assert alone.r2 is not None
    assert alone.r2 < 0.05


def test_few_allocations_for_many_decisions_are_explained_less() -> None:
    many, few = draw(300, 20), draw(40, 20)
    known, guessed = (
        fit_additive(width_columns(each), additive(each), 0.0).r2 for each in (many, few)
    )
    assert known is not None
    assert guessed is not None
    assert known > 0.95
    assert guessed < 0.8


def test_leverage_stands_for_leaving_out_one_by_one() -> None:
    choices = draw(30, 5)
    values = additive(choices) + noise(30, 0.3)
    model = fit_additive(width_columns(choices), values, 0.09)
    columns = width_columns(choices)
    for place, prediction in enumerate(model.predictions):
        others = np.arange(30) != place
        mean, level = columns[others].mean(0), values[others].mean()
        centred = columns[others] - mean
        effects = np.linalg.solve(
            centred.T @ centred + model.ridge * np.eye(20), centred.T @ (values[others] - level)
        )
        assert prediction == pytest.approx(level + (columns[place] - mean) @ effects, rel=1e-6)


def test_equal_values_have_no_share() -> None:
    model = fit_additive(width_columns(draw(20, 3)), np.full(20, 0.1), 0.0)
    assert (model.r2, model.r2_beyond_noise) == (None, None)
    assert model.error == pytest.approx(0)


def test_noise_power_needs_fewer_allocations_where_effects_follow_it_and_fails_where_not() -> None:
    choices = draw(40, 20)
    sensitivities = np.random.default_rng(3).uniform(0, 1, 20)
    following = (4.0**-choices) @ sensitivities
    few = fit_additive(noise_power_columns(choices), following, 0.0).r2
    assert few is not None
    assert few > 0.99
    many = draw(400, 8)
    bent = np.sum((many == 3) * 1.0 - (many == 8) * 1.0, axis=1)
    powers, widths = (
        fit_additive(columns(many), bent, 0.0).r2
        for columns in (noise_power_columns, width_columns)
    )
    assert powers is not None
    assert widths is not None
    assert powers < 0.5 < 0.99 < widths
