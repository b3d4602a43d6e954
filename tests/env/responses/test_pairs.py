"""Pair terms: one covariance in place of thousands of terms, believed where it predicts."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from env.responses.columns import Floats
from env.responses.likelihood import Likelihood
from env.responses.losses import ObservedLosses
from env.responses.pairs.kernel import PairKernel
from env.responses.posterior import ResponsePosterior, infer_responses
from quant.allocation import Allocation
from tests.env.responses.test_posterior import (
    COLUMNS,
    PRIOR,
    SPACE,
    draw,
    drawn_responses,
    observe,
)


def pair_terms(responses: Floats, rng: np.random.Generator, spread: float = 0.4) -> Floats:
    """Return half of what two responses add together, `[columns, columns]`, symmetric."""
    count = int(COLUMNS.of.max()) + 1
    of_pair = rng.standard_normal((count, count))[COLUMNS.of[:, None], COLUMNS.of]
    rho = np.triu(spread * (of_pair + rng.standard_normal(of_pair.shape)) / np.sqrt(2), 1)
    half = (rho + rho.T) * np.sqrt(np.outer(responses, responses))
    return np.where(COLUMNS.of[:, None] == COLUMNS.of, 0.0, half)


def world(
    seed: int, count: int, spread: float
) -> tuple[ObservedLosses, tuple[Allocation, ...], Floats]:
    """Return what was observed, what is one change from it, and the truth of that; simulated."""
    rng = np.random.default_rng(seed)
    responses = drawn_responses(PRIOR, rng)
    terms = pair_terms(responses, rng, spread)
    some = draw(rng, count)
    near = []
    for one in some[:20]:
        bits = list(SPACE.bits_of(one))
        step = int(rng.integers(len(bits)))
        bits[step] = int(rng.choice(SPACE.decisions[step].menu))
        near.append(SPACE.allocation(bits))
    seen, rows = observe(some, responses, 0.001, rng), COLUMNS.rows(some)
    lost = seen.losses + np.einsum("nc,cd,nd->n", rows, terms, rows)
    rows = COLUMNS.rows(near)
    truth = rows @ responses + np.einsum("nc,cd,nd->n", rows, terms, rows)
    return replace(seen, losses=lost), tuple(near), truth


def test_the_covariance_is_that_of_all_terms() -> None:
    rng = np.random.default_rng(0)
    roots = np.sqrt(drawn_responses(PRIOR, rng))
    kernel = PairKernel(of=COLUMNS.of, roots=roots, spread=0.3)
    rows = COLUMNS.rows(draw(rng, 6))
    pairs = [
        (first, second)
        for first, second in itertools.combinations(range(len(COLUMNS)), 2)
        if COLUMNS.of[first] != COLUMNS.of[second]
    ]
    each = np.array([2 * roots[i] * roots[j] * rows[:, i] * rows[:, j] for i, j in pairs]).T
    decisions = {(int(COLUMNS.of[i]), int(COLUMNS.of[j])) for i, j in pairs}
    of = [
        each[:, [n for n, (i, j) in enumerate(pairs) if (COLUMNS.of[i], COLUMNS.of[j]) == both]]
        for both in decisions
    ]
    common, own = each.sum(1), each @ each.T
    shared = sum(np.outer(part.sum(1), part.sum(1)) for part in of)
    expected = 0.3**2 * (0.2 * np.outer(common, common) + 0.4 * shared + 0.4 * own)
    assert np.allclose(kernel.between(rows, rows), expected)


def likelihood_with(pairs: float, rng: np.random.Generator) -> tuple[Likelihood, Likelihood]:
    observed = observe(draw(rng, 7), drawn_responses(PRIOR, rng), 0.01, rng)
    plain = Likelihood(rows=COLUMNS.rows(observed.allocations), observed=observed)
    kernel = PairKernel(of=COLUMNS.of, roots=np.full(len(COLUMNS), 0.2), spread=pairs)
    return plain, replace(plain, pairs=kernel.between(plain.rows, plain.rows))


def test_gradients_are_those_of_the_density() -> None:
    rng = np.random.default_rng(1)
    _, likelihood = likelihood_with(0.4, rng)
    logs, noise = rng.normal(-3, 0.3, (len(COLUMNS), 2)), np.array([[-4.0, -5.0]])
    density, by_logs, by_noise = likelihood.log_density(logs, noise)
    left = likelihood.values - likelihood.rows @ np.exp(logs[:, 0])
    covariance = likelihood.covariance(np.exp([-4.0]))
    whole = -0.5 * (left @ np.linalg.solve(covariance, left) + np.linalg.slogdet(covariance)[1])
    again, _, _ = likelihood.log_density(logs, noise + 0.5)
    covariance = likelihood.covariance(np.exp([-3.5]))
    other = -0.5 * (left @ np.linalg.solve(covariance, left) + np.linalg.slogdet(covariance)[1])
    assert again[0] - density[0] == pytest.approx(other - whole)
    small = 1e-6
    moved = logs.copy()
    moved[3] += small
    rise = likelihood.log_density(moved, noise)[0] - density
    assert rise / small == pytest.approx(by_logs[3], rel=1e-3)
    rise = likelihood.log_density(logs, noise + small)[0] - density
    assert rise / small == pytest.approx(by_noise[0], rel=1e-3)


def test_without_spread_the_density_is_that_of_sums() -> None:
    rng = np.random.default_rng(2)
    plain, paired = likelihood_with(0.0, rng)
    logs = rng.normal(-3, 0.3, (len(COLUMNS), 2))
    found = [each.log_density(logs, np.array([[-4.0, -5.0]])) for each in (plain, paired)]
    assert np.diff(found[0][0]) == pytest.approx(np.diff(found[1][0]))
    for one, other in zip(found[0][1:], found[1][1:], strict=True):
        assert np.allclose(one, other)


def test_a_table_near_an_allocation_is_exact_for_one_change() -> None:
    posterior = learnt(*world(0, 40, 0.4)[:1])
    assert posterior.pairs is not None
    start = posterior.observed.allocations[0]
    bits = list(SPACE.bits_of(start))
    changed = [*bits[:2], next(b for b in SPACE.decisions[2].menu if b != bits[2]), *bits[3:]]
    both = [start, SPACE.allocation(changed)]
    columns = [SPACE.widths.index(each[2]) for each in (bits, changed)]
    for sample in (None, 3):
        table = posterior.table_near(sample, start)
        losses = (
            posterior.mean_losses(both) if sample is None else posterior.sampled_losses(both)[3]
        )
        assert np.diff(table[2, columns]) == pytest.approx(np.diff(losses))


def learnt(observed: ObservedLosses, *, interactions: bool = True) -> ResponsePosterior:
    return infer_responses(PRIOR, COLUMNS, observed, seed=0, interactions=interactions)


def test_pairs_that_are_there_are_believed_and_predict() -> None:
    missed = []
    for seed in range(6):
        observed, near, truth = world(seed, 40, 0.4)
        with_pairs, sums = (learnt(observed, interactions=on) for on in (True, False))
        assert with_pairs.pairs is not None
        assert sums.pairs is None
        missed.append([np.abs(one.mean_losses(near) - truth).mean() for one in (with_pairs, sums)])
    ours, theirs = np.mean(missed, axis=0)
    assert ours < 0.8 * theirs


def test_pairs_that_are_not_there_are_not_believed() -> None:
    for seed in range(6):
        observed = world(seed, 40, 0.0)[0]
        found, sums = learnt(observed), learnt(observed, interactions=False)
        assert found.pairs is None
        assert (found.responses == sums.responses).all(), "nothing changes, to the bit"


def test_few_evaluations_say_nothing_of_pairs() -> None:
    assert learnt(world(0, 7, 0.4)[0]).pairs is None
    repeated = world(0, 7, 0.4)[0]
    repeated = ObservedLosses(
        allocations=repeated.allocations * 3,
        losses=np.tile(repeated.losses, 3),
        errors=np.tile(repeated.errors, 3),
    )
    assert learnt(repeated).pairs is None, "that repeats agree says nothing of others"
