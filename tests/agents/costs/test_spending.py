"""Spending counts as the budget does, and its way back always ends inside."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.costs.spending import Spending
from quant.layers import FLOAT_BITS
from tests.agents.instances import allows, random_spending

SEEDS = st.integers(0, 2**32 - 1)


def any_columns(spending: Spending, rng: np.random.Generator, rows: int) -> np.ndarray:
    return rng.integers(spending.choices, size=(rows, len(spending.decisions)))


@settings(max_examples=500, deadline=None)
@given(SEEDS)
def test_nearest_is_inside_and_leaves_alone_what_is(seed: int) -> None:
    spending, budget, table = random_spending(seed)
    wanted = any_columns(spending, np.random.default_rng(seed), 1)
    for columns in wanted:
        nearest = spending.nearest(columns)
        allocation = spending.allocation(nearest)
        assert spending.space.admits(allocation)
        assert spending.inside(nearest)
        assert allows(budget, spending, table, allocation)
        assert (spending.columns(allocation) == nearest).all()
        if spending.inside(columns):
            assert (nearest == columns).all()


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_rows_are_counted_as_the_budget_counts_them(seed: int) -> None:
    spending, budget, table = random_spending(seed)
    rows = any_columns(spending, np.random.default_rng(seed), 20)
    for columns, inside, used in zip(
        rows, spending.inside(rows), spending.shares(rows), strict=True
    ):
        assert inside == (used <= 1).all()
        assert inside == allows(budget, spending, table, spending.allocation(columns))


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_slopes_are_exact_where_costs_are_straight_lines(seed: int) -> None:
    """Model bytes grow by an eighth of a layer's weights with each of its bits."""
    spending, budget, _ = random_spending(seed)
    if 1 not in spending.resources:
        return
    columns = any_columns(spending, np.random.default_rng(seed), 1)[0]
    slopes = spending.slopes(columns)[:, spending.resources.index(1)]
    assert budget.model_bytes is not None
    layers = {layer.name: layer for layer in spending.space.layers}
    for decision, slope in zip(spending.decisions, slopes, strict=True):
        if FLOAT_BITS in decision.menu:
            continue  # four bytes for a bias too
        named = [layers[part.layer] for part in decision.parts if part.kind == "weight"]
        expected = sum(layer.out_channels * layer.products for layer in named) / 8
        rounded = len(named) + 1e-6  # up to whole bytes of each layer
        assert abs(slope * budget.model_bytes - expected) <= rounded
