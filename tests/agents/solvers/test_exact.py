"""Solvers against published optima and against enumeration."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.mckp.mckp import solve_greedy
from agents.ompq.ompq import solve_rounded
from agents.solvers.choice_problem import ChoiceProblem, LayerChoices, Picks
from agents.solvers.enumeration import MOST, enumerate_picks
from agents.solvers.exact import solve_exact, solve_program, solve_relaxed
from agents.solvers.greedy import Groups
from tests.agents.solvers.hawq_resnet18 import OPTIMA, Resource, bits, gain, instance, used

GREEDY_GAINS = (
    *(1.189414, 0.844891, 0.847289),
    *(1.233207, 1.090490, 1.105039),
    *(1.262440, 1.227748, 1.227748),
)
"""What a greedy solution with a fill pass is known to reach, in the order of OPTIMA."""


def agree(problem: ChoiceProblem, picks: Picks) -> bool:
    """Whether what is decided once is the same wherever it stands."""
    chosen: dict[int, int] = {}
    return all(
        step is None or chosen.setdefault(step, bits) == bits
        for layer, pick in zip(problem.layers, picks, strict=True)
        for step, bits in zip(layer.steps, layer.pairs[pick], strict=True)
    )


@pytest.mark.parametrize(("limit", "resource"), OPTIMA)
def test_hawq_reaches_the_published_optima(limit: float, resource: Resource) -> None:
    problem = instance(limit, resource)
    picks = solve_exact(problem)
    assert picks is not None
    expected_bits, expected_used, expected_gain = OPTIMA[limit, resource]
    assert bits(problem, picks) == expected_bits
    assert used(problem, picks) == pytest.approx(expected_used, rel=1e-5)
    assert gain(problem, picks) == pytest.approx(expected_gain, abs=5e-7)
    assert problem.inside(picks)
    assert agree(problem, picks)


@pytest.mark.parametrize(
    ("limit", "resource", "known"),
    [(*key, known) for key, known in zip(OPTIMA, GREEDY_GAINS, strict=True)],
)
def test_greedy_is_within_one_per_cent_of_the_optima(
    limit: float, resource: Resource, known: float
) -> None:
    problem = instance(limit, resource)
    picks = solve_greedy(problem)
    assert picks is not None
    assert problem.inside(picks)
    assert agree(problem, picks)
    assert gain(problem, picks) >= 0.99 * OPTIMA[limit, resource][2]
    assert gain(problem, picks) == pytest.approx(known, abs=5e-7)


def steps_of(rng: np.random.Generator) -> tuple[int | None, int | None]:
    """Weights and activations from overlapping decisions, so that ties go every way."""
    weight, activation = (int(rng.integers(low, low + 5)) for low in (0, 2))
    return (None if rng.random() < 0.1 else weight, None if rng.random() < 0.1 else activation)


def layer_of(
    name: str,
    steps: tuple[int | None, int | None],
    menus: dict[int, tuple[int, ...]],
    rng: np.random.Generator,
    resources: int,
) -> LayerChoices:
    first, second = ((8,) if step is None else menus[step] for step in steps)
    pairs = tuple(itertools.product(first, second))
    if steps[0] is not None and steps[0] == steps[1]:
        pairs = tuple((bits, bits) for bits in first)
    return LayerChoices(
        layer=name,
        steps=steps,
        pairs=pairs,
        losses=rng.uniform(-1, 5, len(pairs)),
        costs=rng.integers(1, 10**9, (len(pairs), resources)),
    )


def random_problem(seed: int) -> tuple[ChoiceProblem, list[Picks]]:
    """Return a small problem with ties, and all its solutions, best first."""
    rng = np.random.default_rng(seed)
    resources = int(rng.integers(1, 3))
    menus: dict[int, tuple[int, ...]] = {
        step: ((2, 5), (3, 8), (5,), (2, 4, 8))[rng.integers(4)] for step in range(7)
    }
    layers = tuple(
        layer_of(f"l{k}", steps_of(rng), menus, rng, resources)
        for k in range(int(rng.integers(2, 5)))
    )
    free = ChoiceProblem(layers=layers, limits=np.full(resources, 10**12))
    rows = [range(len(layer.pairs)) for layer in layers]
    every = [picks for picks in itertools.product(*rows) if agree(free, picks)]
    problem = free.with_limits(free.cost(every[int(rng.integers(len(every)))]))
    found = [picks for picks in every if problem.inside(picks)]
    return problem, sorted(found, key=problem.loss)


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
@example(416909)  # one solution uses the whole limit
def test_exact_solutions_come_in_the_order_of_enumeration(seed: int) -> None:
    problem, expected = random_problem(seed)
    for solver in (solve_exact, solve_program):
        found: list[Picks] = []
        for picks in expected[:3]:
            answer = solver(problem, found)
            assert answer == picks
            found.append(answer)
        assert solver(problem, expected) is None


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_all_solutions_are_enumerated_once(seed: int) -> None:
    problem, _ = random_problem(seed)
    every = enumerate_picks(problem)
    assert every is not None
    rows = [range(len(layer.pairs)) for layer in problem.layers]
    wanted = [picks for picks in itertools.product(*rows) if agree(problem, picks)]
    assert [tuple(picks) for picks in every.tolist()] == wanted


def test_large_problems_are_not_enumerated() -> None:
    problem = instance(next(iter(OPTIMA))[0], next(iter(OPTIMA))[1])
    assert np.prod([len(layer.pairs) for layer in problem.layers], dtype=float) > MOST
    assert enumerate_picks(problem) is None


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_approximations_stay_inside_and_propose_nothing_twice(seed: int) -> None:
    problem, expected = random_problem(seed)
    for method in (solve_greedy, solve_rounded):
        found: list[Picks] = []
        for _ in expected[:12]:
            picks = method(problem, found)
            assert picks is not None, "the exact solver finds what neighbours do not"
            assert problem.inside(picks)
            assert agree(problem, picks)
            assert picks not in found
            found.append(picks)
        assert method(problem, expected) is None
        assert problem.loss(expected[0]) <= problem.loss(found[0])


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_relaxation_is_a_lower_bound(seed: int) -> None:
    problem, expected = random_problem(seed)
    shares = solve_relaxed(problem)
    assert shares is not None
    bound = sum(
        float(layer.losses @ share) for layer, share in zip(problem.layers, shares, strict=True)
    )
    assert bound <= problem.loss(expected[0]) + 1e-6
    for share in shares:
        assert share.sum() == pytest.approx(1.0)


def test_without_limits_every_solver_takes_the_least_loss() -> None:
    problem, _ = random_problem(3)
    free = ChoiceProblem(
        layers=tuple(
            LayerChoices(
                layer=layer.layer,
                steps=(2 * k, 2 * k + 1),
                pairs=layer.pairs,
                losses=layer.losses,
                costs=layer.costs[:, :0],
            )
            for k, layer in enumerate(problem.layers)
        ),
        limits=np.zeros(0, dtype=np.int64),
    )
    least = tuple(int(layer.losses.argmin()) for layer in free.layers)
    assert [solver(free) for solver in (solve_exact, solve_greedy, solve_rounded)] == [least] * 3


def test_an_impossible_limit_has_no_answer() -> None:
    problem, _ = random_problem(0)
    nothing = problem.with_limits(np.zeros_like(problem.limits))
    assert [solver(nothing) for solver in (solve_exact, solve_greedy, solve_rounded)] == [None] * 3


def test_options_above_the_hull_are_passed_by() -> None:
    """From cost 10 to 5 the loss rises by 4, to 0 by 5: half the way is a poor bargain."""
    layer = LayerChoices(
        layer="l",
        steps=(0, None),
        pairs=((2, 8), (4, 8), (8, 8)),
        losses=np.array([5.0, 4.0, 0.0]),
        costs=np.array([[0], [5], [10]]),
    )
    other = LayerChoices(
        layer="m",
        steps=(1, None),
        pairs=((2, 8), (8, 8)),
        losses=np.array([4.5, 0.0]),
        costs=np.array([[0], [10]]),
    )
    problem = ChoiceProblem(layers=(layer, other), limits=np.array([10]))
    assert Groups(problem).solve() == (2, 0)
