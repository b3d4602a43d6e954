"""The convex program against its closed form, its optimality conditions and scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from agents.qbitopt.bit_program import NoiseModel, noise, solve_bits

SEEDS = st.integers(0, 2**32 - 1)
FREE = 200.0
"""A bound that no answer of these tests comes near."""


def instance(
    seed: int, resources: int, most: int = 9
) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    tensors = int(rng.integers(1, most))
    weights = 10.0 ** rng.uniform(-6, 4, tensors)
    return weights, 10.0 ** rng.uniform(-2, 2, (tensors, resources)), rng


@settings(max_examples=500, deadline=None)
@given(SEEDS)
def test_without_bounds_it_is_reverse_water_filling(seed: int) -> None:
    weights, costs, rng = instance(seed, 1)
    sizes, mean_bits = costs[:, 0], rng.uniform(1, 9)
    bits = solve_bits(
        weights, costs, np.array([mean_bits * sizes.sum()]), low=-FREE, high=FREE, model="power"
    )
    shares = sizes / sizes.sum()
    geometric_mean = np.exp(shares @ np.log(weights / sizes))
    closed_form = mean_bits + 0.5 * np.log2(weights / sizes / geometric_mean)
    assert bits == pytest.approx(closed_form, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.sampled_from(["power", "levels"]))
def test_inside_the_bounds_every_tensor_gains_the_same_for_its_cost(
    seed: int, model: NoiseModel
) -> None:
    weights, costs, rng = instance(seed, 1)
    low, high = 2.0, 8.0
    limit = costs.sum(0) * rng.uniform(low, high)
    bits = solve_bits(weights, costs, limit, low=low, high=high, model=model)
    assert ((bits >= low) & (bits <= high)).all()
    spent = float(costs[:, 0] @ bits)
    assert spent == pytest.approx(limit[0], rel=1e-9), "wider bits always help here"
    step = 1e-6
    gain = weights * (noise(bits - step, model) - noise(bits + step, model)) / (2 * step)
    gain /= costs[:, 0]
    free = (bits > low + 1e-6) & (bits < high - 1e-6)
    for price in gain[free]:
        assert gain[free] == pytest.approx(price, rel=1e-4)
        assert (gain[bits >= high - 1e-6] >= price * (1 - 1e-4)).all()
        assert (gain[bits <= low + 1e-6] <= price * (1 + 1e-4)).all()


@pytest.mark.parametrize("model", ["power", "levels"])
@pytest.mark.parametrize("seed", range(5))
def test_two_limits_at_once_as_scipy_has_it(seed: int, model: NoiseModel) -> None:
    weights, costs, rng = instance(seed, 2, most=5)
    weights = np.exp(rng.uniform(-1, 1, len(weights)))
    costs = rng.uniform(0.2, 1.0, costs.shape)
    limits = costs.sum(0) * rng.uniform(3, 6, 2)
    bits = solve_bits(weights, costs, limits, low=2.0, high=8.0, model=model)
    assert (costs.T @ bits <= limits * (1 + 1e-9)).all()
    found = minimize(
        lambda b: np.log(weights @ noise(b, model)),
        np.full(len(weights), 2.5),
        bounds=[(2.0, 8.0)] * len(weights),
        constraints={"type": "ineq", "fun": lambda b: limits - costs.T @ b},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert found.success
    assert np.log(weights @ noise(bits, model)) <= found.fun + 1e-6


def test_ends_of_the_range() -> None:
    weights, costs = np.ones(3), np.array([[1.0], [2.0], [0.0]])
    wide = solve_bits(weights, costs, np.array([1e9]), low=2.0, high=8.0, model="levels")
    assert (wide == 8.0).all()
    narrow = solve_bits(weights, costs, np.array([0.5]), low=2.0, high=8.0, model="levels")
    assert narrow.tolist() == [2.0, 2.0, 8.0], "the third costs nothing"
    free = solve_bits(weights, np.zeros((3, 0)), np.zeros(0), low=2.0, high=8.0, model="power")
    assert (free == 8.0).all()
