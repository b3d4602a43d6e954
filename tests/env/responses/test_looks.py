"""What looks teach: single decisions, up to a factor, a bias and noise that are not known."""

from dataclasses import replace

import numpy as np
import pytest

from env.evaluating.seen_look import SeenLook
from env.responses.batch_looks import BatchLook
from env.responses.columns import Floats
from env.responses.likelihood import Likelihood
from env.responses.looks import ObservedLooks, observed_looks
from env.responses.losses import observed_losses
from env.responses.posterior import ResponsePosterior, infer_responses
from env.responses.summed_looks import SummedLooks
from env.testing import FormulaEvaluator, formula_table
from quant.allocation import Allocation
from tests.env.responses.test_posterior import (
    COLUMNS,
    LAYERS,
    PRIOR,
    RISES,
    SPACE,
    draw,
    drawn_responses,
    observe,
)

FACTOR = 3.0


def looks_at(
    allocations: tuple[Allocation, ...],
    responses: Floats,
    rng: np.random.Generator,
    bias: float = 0.3,
    noise: float = 1e-4,
) -> ObservedLooks:
    """Return looks at each decision of some allocations."""
    said = FACTOR * responses * np.exp(bias * rng.standard_normal(len(responses)))
    columns = np.concatenate([np.flatnonzero(row) for row in COLUMNS.rows(allocations)])
    rises = said[columns] + noise * rng.standard_normal(len(columns))
    return ObservedLooks(columns=columns, rises=rises)


def batches_at(
    responses: Floats, rng: np.random.Generator, *, count: int, bias: float = 0.3
) -> ObservedLooks:
    """Return looks at whole allocations, on a batch of 128 images each."""
    said = FACTOR * responses * np.exp(bias * rng.standard_normal(len(responses)))
    looks = [
        BatchLook(allocation=allocation, rise=float(row @ said + rng.normal(0.0, 0.02)), images=128)
        for allocation in draw(rng, count)
        for row in COLUMNS.rows([allocation])
    ]
    return observed_looks((), COLUMNS, looks)


def both(looks: ObservedLooks, batches: ObservedLooks) -> ObservedLooks:
    """Return looks at decisions and at allocations together."""
    return replace(
        looks,
        batch_rows=batches.batch_rows,
        batch_rises=batches.batch_rises,
        batch_images=batches.batch_images,
    )


@pytest.mark.parametrize("batches", [0, 3, 60])
def test_gradients_of_looks_are_those_of_the_density(batches: int) -> None:
    rng = np.random.default_rng(0)
    allocations, responses = draw(rng, 7), drawn_responses(PRIOR, rng)
    found = looks_at(allocations, responses, rng, noise=0.01)
    if batches:
        found = both(found, batches_at(responses, rng, count=batches))
    looks = SummedLooks.of(found, COLUMNS)
    likelihood = Likelihood(
        rows=COLUMNS.rows(allocations),
        observed=observe(allocations, responses, 0.01, rng),
        looks=looks,
    )
    unknowns = len(COLUMNS) + len(looks)
    logs, noises = rng.normal(-3, 0.3, (unknowns, 2)), np.array([[-4.0, -5.0], [-4.5, -3.5]])
    value, by_logs, by_noises = likelihood.log_density(logs, noises)
    small = 1e-6
    for at in (0, 5, len(COLUMNS), unknowns - 1):
        moved = logs.copy()
        moved[at] += small
        rise = likelihood.log_density(moved, noises)[0] - value
        assert rise / small == pytest.approx(by_logs[at], rel=1e-3)
    for at in (0, 1):
        moved = noises.copy()
        moved[at] += small
        rise = likelihood.log_density(logs, moved)[0] - value
        assert rise / small == pytest.approx(by_noises[at], rel=1e-3)


def test_sums_of_looks_are_all_that_they_say() -> None:
    """The density of single looks, one error each and one of their decision, is that of sums."""
    rng = np.random.default_rng(1)
    allocations = draw(rng, 4)
    looks = looks_at(allocations, drawn_responses(PRIOR, rng), rng, noise=0.01)
    summed = SummedLooks.of(looks, COLUMNS)
    of = COLUMNS.of[looks.columns]
    covariance = np.eye(len(looks)) + (of[:, None] == of[None, :])
    found = []
    for _ in range(2):
        expected, noise = rng.normal(0.05, 0.01, len(COLUMNS)), float(np.exp(rng.normal(-4, 0.3)))
        left = looks.rises - expected[looks.columns]
        single = -len(looks) * np.log(noise)
        single -= 0.5 * left @ np.linalg.solve(noise**2 * covariance, left)
        together, _, _ = summed.log_density(
            expected[summed.columns][:, None], np.log(np.array([noise]))
        )
        found.append(float(together[0]) - single)
    assert found[0] == pytest.approx(found[1], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("count", [4, 200])
def test_sums_of_batches_are_all_that_they_say(count: int) -> None:
    """Of fewer batches than unknowns as of many, alone and beside looks at decisions."""
    rng = np.random.default_rng(1)
    responses = drawn_responses(PRIOR, rng)
    looks = looks_at(draw(rng, 4), responses, rng, noise=0.01)
    batches = batches_at(responses, rng, count=count)
    for single, whole in ((looks, both(looks, batches)), (None, batches)):
        summed = SummedLooks.of(whole, COLUMNS)
        found = []
        for _ in range(2):
            expected = rng.normal(0.05, 0.01, len(COLUMNS))
            log_noise = np.array([float(rng.normal(-4, 0.3))])
            left = batches.batch_rises - batches.batch_rows @ expected
            # A batch of 128 images has four times the variance of a look at 512.
            density = -count * log_noise[0] - 0.5 * left @ left / (4 * np.exp(2 * log_noise[0]))
            if single is not None:
                alone = SummedLooks.of(single, COLUMNS)
                of_looks = alone.log_density(expected[alone.columns][:, None], log_noise)[0]
                density += float(of_looks[0])
            together = summed.log_density(expected[summed.columns][:, None], log_noise)[0]
            found.append(float(together[0]) - density)
        assert found[0] == pytest.approx(found[1], rel=1e-6, abs=1e-6)


def off(posterior: ResponsePosterior, responses: Floats) -> float:
    """Return how far log responses are off in the mean."""
    return float(np.abs(np.log(posterior.responses).mean(0) - np.log(responses)).mean())


def test_looks_tell_responses_apart() -> None:
    better, fitted = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        responses, allocations = drawn_responses(PRIOR, rng), draw(rng, 6)
        observed = observe(allocations, responses, 0.004, rng)
        looks = looks_at(allocations, responses, rng)
        with_looks = infer_responses(PRIOR, COLUMNS, observed, seed=seed, looks=looks)
        without = infer_responses(PRIOR, COLUMNS, observed, seed=seed)
        better.append(off(with_looks, responses) / off(without, responses))
        fitted.append(with_looks.noise)
    assert np.mean(better) < 0.8
    assert 0.001 < np.median(fitted) < 0.02


def test_batches_tell_responses_apart() -> None:
    """Before any evaluation, and by their proportions alone: their factor is not known."""
    better = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        responses = drawn_responses(PRIOR, rng)
        batches = batches_at(responses, rng, count=300)
        nothing = observe((), responses, 0.004, rng)
        found = [
            np.log(infer_responses(PRIOR, COLUMNS, nothing, seed=seed, looks=looks).responses)
            for looks in (batches, None)
        ]
        errors = [float((logs.mean(0) - np.log(responses)).std()) for logs in found]
        better.append(errors[0] / errors[1])
    assert np.mean(better) < 0.8


@pytest.mark.parametrize(("same", "most"), [(True, 1.1), (False, 1.6)])
def test_looks_of_a_large_bias_are_hardly_believed(same: bool, most: float) -> None:
    """Or of another network's responses altogether: the bias is fitted."""
    worse = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        responses, allocations = drawn_responses(PRIOR, rng), draw(rng, 24)
        observed = observe(allocations, responses, 0.004, rng)
        said = responses if same else drawn_responses(PRIOR, rng)
        looks = looks_at(allocations, said, rng, bias=1.0)
        with_looks = infer_responses(PRIOR, COLUMNS, observed, seed=seed, looks=looks)
        without = infer_responses(PRIOR, COLUMNS, observed, seed=seed)
        worse.append(off(with_looks, responses) / off(without, responses))
    assert np.mean(worse) < most


def test_no_look_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    observed = observe(draw(rng, 5), drawn_responses(PRIOR, rng), 0.01, rng)
    none = ObservedLooks(columns=np.zeros(0, dtype=np.int64), rises=np.zeros(0))
    first, second = (
        infer_responses(PRIOR, COLUMNS, observed, seed=0, looks=looks).responses
        for looks in (None, none)
    )
    assert (first == second).all()


def test_looks_are_read_off_evaluations_and_shared_ones_count_once() -> None:
    evaluator = FormulaEvaluator(SPACE, formula_table(LAYERS), RISES, practice=False)
    first, second = [3] * len(SPACE.decisions), [3, 4, 8, *[2] * (len(SPACE.decisions) - 3)]

    def seen(bits: list[int], rises: list[float]) -> tuple[SeenLook, ...]:
        return tuple(SeenLook(loss=1.0, response=rise) for rise in rises)

    reference, one, other = evaluator.evaluate(
        [Allocation.uniform(LAYERS, 8), SPACE.allocation(first), SPACE.allocation(second)]
    )
    one = replace(one, looks=seen(first, [0.5] * len(first)))
    other = replace(other, looks=seen(second, [0.5, 0.25, 0.125]))  # did not stay finite after
    found = observed_looks([reference, one, other], COLUMNS)
    # The second's first look is the first's, and at 8 bits there is no response.
    assert len(found) == len(first) + 1
    assert found.columns.tolist()[-1] == COLUMNS.at[1, 4]
    assert found.rises[-1] == 0.25
    assert len(observed_looks([replace(one, practice=True)], COLUMNS)) == 0
    assert len(observed_losses([reference, one, other], reference, SPACE)) == 2
    summed = SummedLooks.of(found, COLUMNS)
    assert summed.degrees == 0
    assert summed.shape[0, 0] == 2.0
