"""What was observed, in units of its errors: as much as before, in fewer numbers."""

import numpy as np
import pytest

from env.responses.likelihood import Likelihood
from env.responses.losses import ObservedLosses
from env.responses.summed_looks import SummedLooks
from env.responses.unit_errors import UnitErrors


def likelihood(count: int, columns: int = 5, *, looks: bool = False) -> Likelihood:
    rng = np.random.default_rng(count)
    observed = ObservedLosses(
        allocations=(), losses=rng.normal(size=count), errors=rng.uniform(0.1, 0.3, count)
    )
    summed = SummedLooks(
        columns=np.arange(2),
        sums=np.eye(2),
        values=rng.normal(size=2),
        shape=np.array([[1.5, 1.0], [1.0, 2.0]]),
        squares=0.1,
        degrees=3,
    )
    rows = rng.integers(0, 2, (count, columns)).astype(np.float64)
    return Likelihood(rows=rows, observed=observed, looks=summed if looks else None)


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("count", [0, 3, 40])
def test_they_say_of_unknowns_what_all_values_say(count: int, looks: bool) -> None:
    whole = likelihood(count, looks=looks)
    noises = np.array([0.2, 0.4])[: 1 + looks]
    found = UnitErrors.of(whole, noises)
    rows, unknowns = whole.sums.shape
    assert found.sums.shape == (min(rows, unknowns), unknowns)
    covariance = whole.covariance(noises)
    assert np.isclose(found.log_determinant, np.linalg.slogdet(covariance)[1])
    for seed in range(3):
        responses = np.random.default_rng(seed).normal(size=unknowns)
        left, less = whole.values - whole.sums @ responses, found.values - found.sums @ responses
        assert np.isclose(left @ np.linalg.solve(covariance, left), less @ less + found.rest)


def test_chains_with_noises_and_errors_of_their_own_are_each_as_if_alone() -> None:
    whole = likelihood(40, looks=True)
    noises = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.4]])
    added = np.random.default_rng(0).normal(size=(3, 42))
    together = UnitErrors.of(whole, noises, added)
    for chain in range(3):
        alone = UnitErrors.of(whole, noises[:, chain], added[chain])
        assert np.allclose(together.values[chain], alone.values)
        assert np.allclose(together.sums[chain], alone.sums)
        assert np.isclose(together.rest[chain], alone.rest)
        assert np.isclose(together.log_determinant[chain], alone.log_determinant)
