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
from env.decisions.decisions import allocation_of, decision_sequence
from env.decisions.masks import BudgetMask
from env.errors import BudgetError
from env.testing import conv_layer, formula_table, tied_layers
from hardware.layers.table import LayerTable
from quant.layers import LayerSpec

Problem = tuple[tuple[LayerSpec, ...], LayerTable]

CHOICES = (2, 5, 8)
WHOLE = 10**6
"""More points than any front here has."""


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Three or four layers, tied in every way, with random costs for every pair of bits."""
    count = draw(st.integers(3, 4))
    tensors = ["input", *(draw(st.sampled_from(["a", "b", "input"])) for _ in range(count - 1))]
    layers = tuple(
        conv_layer(f"l{k}", tensor, channels=draw(st.integers(1, 6)), reads_input=tensor == "input")
        for k, tensor in enumerate(tensors)
    )
    times = st.integers(1, 1000)
    table = {
        layer.name: {(w, a): draw(times) / 7.0 for w in CHOICES for a in CHOICES}
        for layer in layers
    }
    energies = {
        layer.name: {(w, a): draw(times) / 9.0 for w in CHOICES for a in CHOICES}
        for layer in layers
    }
    return layers, LayerTable(
        source="simulated",
        disturbed_share=0.0,
        times_us=table,
        overhead_us=draw(times) / 3.0,
        energies_uj=energies,
        overhead_uj=draw(times) / 5.0,
    )


def all_totals(
    layers: tuple[LayerSpec, ...], table: LayerTable
) -> dict[tuple[int, ...], np.ndarray]:
    costs = cost_table(layers, table, CHOICES)
    return {
        bits: costs.total(allocation_of(layers, bits))
        for bits in itertools.product(CHOICES, repeat=len(decision_sequence(layers)))
    }


def walk(
    mask: BudgetMask, steps: int, rng: np.random.Generator
) -> Iterator[tuple[tuple[int, ...], np.ndarray | None]]:
    """Yield (bits so far, legal) along one random legal episode."""
    state = mask.start()
    bits: list[int] = []
    for _ in range(steps):
        legal = mask.outlook(state).legal
        yield tuple(bits), legal
        assert legal.any(), f"dead end after {bits}"
        bits.append(CHOICES[rng.choice(np.flatnonzero(legal))])
        state = mask.advance(state, bits[-1])
    yield tuple(bits), None


@settings(max_examples=60, deadline=None)
@given(problems(), st.floats(0, 1), st.sampled_from([0, 1, 2]), st.integers(0, 2**31))
def test_one_resource_is_exact(problem: Problem, place: float, resource: int, seed: int) -> None:
    layers, table = problem
    totals = all_totals(layers, table)
    values = sorted(total[resource] for total in totals.values())
    limit = int(values[round(place * (len(values) - 1))])
    budget = (
        Budget(latency_ms=limit / 1e9),
        Budget(model_bytes=limit),
        Budget(energy_mj=limit / 1e9),
    )[resource]
    assert limits_of(budget)[resource] == limit
    mask = BudgetMask(layers, cost_table(layers, table, CHOICES), CHOICES, budget)
    for bits, legal in walk(mask, len(decision_sequence(layers)), np.random.default_rng(seed)):
        ends = {k: v for k, v in totals.items() if k[: len(bits)] == bits and v[resource] <= limit}
        if legal is None:
            assert ends
        else:
            expected = [any(k[len(bits)] == choice for k in ends) for choice in CHOICES]
            assert legal.tolist() == expected


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
    layers, table = problem
    totals = all_totals(layers, table)
    witness = totals[data.draw(st.sampled_from(sorted(totals)))]
    limits: dict[str, Any] = {
        "latency_ms": int(witness[0]) / 1e9,
        "model_bytes": int(witness[1]),
        "energy_mj": int(witness[2]) / 1e9,
    }
    budget = Budget(**{name: limits[name] for name in np.array(list(limits))[list(resources)]})
    unlimited = np.isin(range(3), resources, invert=True)
    costs = cost_table(layers, table, CHOICES)
    try:
        mask = BudgetMask(layers, costs, CHOICES, budget, front_points=points)
    except BudgetError:
        assert points < WHOLE, "with whole fronts the witness is found"
        return
    for bits, legal in walk(mask, len(decision_sequence(layers)), np.random.default_rng(seed)):
        inside = {
            k
            for k, v in totals.items()
            if k[: len(bits)] == bits and ((v <= witness) | unlimited).all()
        }
        if legal is None:
            assert inside == {bits}
            continue
        possible = np.array([any(k[len(bits)] == choice for k in inside) for choice in CHOICES])
        assert not (legal & ~possible).any()
        if points == WHOLE:
            assert legal.tolist() == possible.tolist()


def test_impossible_budget_names_what_can_be_reached_and_that_can_be_asked_for() -> None:
    layers = tied_layers()
    costs = cost_table(layers, formula_table(layers), CHOICES)
    with pytest.raises(BudgetError, match="smallest reachable latency is ") as caught:
        BudgetMask(layers, costs, CHOICES, Budget(latency_ms=1e-6))
    smallest = float(caught.value.message.split("latency is ")[1].split(" ms")[0])
    BudgetMask(layers, costs, CHOICES, Budget(latency_ms=smallest))
    with pytest.raises(BudgetError, match="smallest reachable model is ") as caught:
        BudgetMask(layers, costs, CHOICES, Budget(model_bytes=1))
    smallest_bytes = int(caught.value.message.split("model is ")[1].split(" bytes")[0])
    BudgetMask(layers, costs, CHOICES, Budget(model_bytes=smallest_bytes))


def test_an_impossible_energy_is_named_too() -> None:
    layers = tied_layers()
    costs = cost_table(layers, formula_table(layers, energies=True), CHOICES)
    with pytest.raises(BudgetError, match="smallest reachable energy is ") as caught:
        BudgetMask(layers, costs, CHOICES, Budget(energy_mj=1e-6))
    smallest = float(caught.value.message.split("energy is ")[1].split(" mJ")[0])
    BudgetMask(layers, costs, CHOICES, Budget(energy_mj=smallest))
    with pytest.raises(BudgetError, match="not all at once"):
        BudgetMask(layers, costs, CHOICES, Budget(latency_ms=1.0, model_bytes=1, energy_mj=1.0))


def test_tied_layers_are_counted_together() -> None:
    """`second` is cheap at 8 bits of activations only where nobody else reads the tensor."""
    layers = (conv_layer("one", "t"), conv_layer("two", "t"))
    times = {
        "one": {(2, 2): 10.0, (2, 8): 1.0, (8, 2): 10.0, (8, 8): 1.0},
        "two": {(2, 2): 1.0, (2, 8): 10.0, (8, 2): 1.0, (8, 8): 10.0},
    }
    table = LayerTable(source="simulated", disturbed_share=0.0, times_us=times, overhead_us=0.0)
    costs = cost_table(layers, table, (2, 8))
    # Minimising each layer by itself would promise 2 us; with one tensor 11 us is the least.
    with pytest.raises(BudgetError, match=r"0\.011000 ms"):
        BudgetMask(layers, costs, (2, 8), Budget(latency_ms=0.010))
