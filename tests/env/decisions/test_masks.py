"""Masks against brute force: exact for one resource, sound and never stuck for more."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from env.decisions.budget import Budget
from env.decisions.costs import cost_table, limits_of
from env.decisions.decisions import DecisionSpace
from env.decisions.masks import BudgetMask
from env.decisions.space import decision_space
from env.errors import BudgetError
from env.testing import conv_layer, formula_table, random_rules, tied_layers
from hardware.layers.table import LayerTable
from quant.layers import FLOAT_BITS

Problem = tuple[DecisionSpace, LayerTable]

CHOICES = (2, 5, 8)
WHOLE = 10**6
"""More points than any front here has."""


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Three or four layers, tied in every way, with random costs for every pair of bits.

    Half of them with rules for single layers: pins, menus, ties across layers and kinds, float.
    """
    count = draw(st.integers(3, 4))
    tensors = ["input", *(draw(st.sampled_from(["a", "b", "input"])) for _ in range(count - 1))]
    layers = tuple(
        conv_layer(f"l{k}", tensor, channels=draw(st.integers(1, 6)), reads_input=tensor == "input")
        for k, tensor in enumerate(tensors)
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rules = random_rules(layers, CHOICES, rng, CHOICES) if draw(st.booleans()) else ()

    def times(divisor: float) -> dict[str, dict[tuple[int, int], float]]:
        return {
            layer.name: {
                (w, a): int(rng.integers(1, 1001)) / divisor
                for w in (*CHOICES, FLOAT_BITS)
                for a in CHOICES
            }
            for layer in layers
        }

    return decision_space(layers, CHOICES, rules), LayerTable(
        source="simulated",
        disturbed_share=0.0,
        times_us=times(7.0),
        overhead_us=int(rng.integers(1, 1001)) / 3.0,
        energies_uj=times(9.0),
        overhead_uj=int(rng.integers(1, 1001)) / 5.0,
    )


def all_totals(space: DecisionSpace, table: LayerTable) -> dict[tuple[int, ...], np.ndarray]:
    costs = cost_table(space, table)
    return {
        bits: costs.total(space.allocation(bits))
        for bits in itertools.product(*(decision.menu for decision in space.decisions))
    }


def walk(
    mask: BudgetMask, space: DecisionSpace, rng: np.random.Generator
) -> Iterator[tuple[tuple[int, ...], dict[int, bool] | None]]:
    """Yield (bits so far, what is legal of the menu) along one random legal episode."""
    state = mask.start()
    bits: list[int] = []
    for decision in space.decisions:
        legal = dict(zip(space.widths, mask.outlook(state).legal.tolist(), strict=True))
        assert not any(ok for width, ok in legal.items() if width not in decision.menu)
        yield tuple(bits), {width: legal[width] for width in decision.menu}
        assert any(legal.values()), f"dead end after {bits}"
        bits.append(int(rng.choice([width for width, ok in legal.items() if ok])))
        state = mask.advance(state, bits[-1])
    yield tuple(bits), None


@settings(max_examples=60, deadline=None)
@given(problems(), st.floats(0, 1), st.sampled_from([0, 1, 2]), st.integers(0, 2**31))
def test_one_resource_is_exact(problem: Problem, place: float, resource: int, seed: int) -> None:
    space, table = problem
    totals = all_totals(space, table)
    values = sorted(total[resource] for total in totals.values())
    limit = int(values[round(place * (len(values) - 1))])
    budget = (
        Budget(latency_ms=limit / 1e9),
        Budget(model_bytes=limit),
        Budget(energy_mj=limit / 1e9),
    )[resource]
    assert limits_of(budget)[resource] == limit
    mask = BudgetMask(space, cost_table(space, table), budget)
    for bits, legal in walk(mask, space, np.random.default_rng(seed)):
        ends = {k: v for k, v in totals.items() if k[: len(bits)] == bits and v[resource] <= limit}
        if legal is None:
            assert ends
        else:
            expected = {choice: any(k[len(bits)] == choice for k in ends) for choice in legal}
            assert legal == expected


@settings(max_examples=60, deadline=None)
@given(
    problems(),
    st.data(),
    st.sampled_from([2, 3, WHOLE]),
    st.sampled_from([(0, 1), (0, 2), (1, 2), (0, 1, 2)]),
    st.integers(0, 2**31),
)
def test_more_resources_are_sound_and_never_stuck(
    problem: Problem, data: st.DataObject, points: int, resources: tuple[int, ...], seed: int
) -> None:
    space, table = problem
    totals = all_totals(space, table)
    witness = totals[data.draw(st.sampled_from(sorted(totals)))]
    limits: dict[str, Any] = {
        "latency_ms": int(witness[0]) / 1e9,
        "model_bytes": int(witness[1]),
        "energy_mj": int(witness[2]) / 1e9,
    }
    budget = Budget(**{name: limits[name] for name in np.array(list(limits))[list(resources)]})
    unlimited = np.isin(range(3), resources, invert=True)
    try:
        mask = BudgetMask(space, cost_table(space, table), budget, front_points=points)
    except BudgetError:
        assert points < WHOLE, "with whole fronts the witness is found"
        return
    for bits, legal in walk(mask, space, np.random.default_rng(seed)):
        inside = {
            k
            for k, v in totals.items()
            if k[: len(bits)] == bits and ((v <= witness) | unlimited).all()
        }
        if legal is None:
            assert inside == {bits}
            continue
        possible = {choice: any(k[len(bits)] == choice for k in inside) for choice in legal}
        assert all(possible[choice] for choice, ok in legal.items() if ok)
        if points == WHOLE:
            assert legal == possible


def test_impossible_budget_names_what_can_be_reached_and_that_can_be_asked_for() -> None:
    space = decision_space(tied_layers(), CHOICES)
    costs = cost_table(space, formula_table(space.layers))
    with pytest.raises(BudgetError, match="smallest reachable latency is ") as caught:
        BudgetMask(space, costs, Budget(latency_ms=1e-6))
    smallest = float(caught.value.message.split("latency is ")[1].split(" ms")[0])
    BudgetMask(space, costs, Budget(latency_ms=smallest))
    with pytest.raises(BudgetError, match="smallest reachable model is ") as caught:
        BudgetMask(space, costs, Budget(model_bytes=1))
    smallest_bytes = int(caught.value.message.split("model is ")[1].split(" bytes")[0])
    BudgetMask(space, costs, Budget(model_bytes=smallest_bytes))


def test_an_impossible_energy_is_named_too() -> None:
    space = decision_space(tied_layers(), CHOICES)
    costs = cost_table(space, formula_table(space.layers, energies=True))
    with pytest.raises(BudgetError, match="smallest reachable energy is ") as caught:
        BudgetMask(space, costs, Budget(energy_mj=1e-6))
    smallest = float(caught.value.message.split("energy is ")[1].split(" mJ")[0])
    BudgetMask(space, costs, Budget(energy_mj=smallest))
    with pytest.raises(BudgetError, match="not all at once"):
        BudgetMask(space, costs, Budget(latency_ms=1.0, model_bytes=1, energy_mj=1.0))


def test_tied_layers_are_counted_together() -> None:
    """`second` is cheap at 8 bits of activations only where nobody else reads the tensor."""
    layers = (conv_layer("one", "t"), conv_layer("two", "t"))
    times = {
        "one": {(2, 2): 10.0, (2, 8): 1.0, (8, 2): 10.0, (8, 8): 1.0},
        "two": {(2, 2): 1.0, (2, 8): 10.0, (8, 2): 1.0, (8, 8): 10.0},
    }
    table = LayerTable(source="simulated", disturbed_share=0.0, times_us=times, overhead_us=0.0)
    space = decision_space(layers, (2, 8))
    costs = cost_table(space, table)
    # Minimising each layer by itself would promise 2 us; with one tensor 11 us is the least.
    with pytest.raises(BudgetError, match=r"0\.011000 ms"):
        BudgetMask(space, costs, Budget(latency_ms=0.010))
