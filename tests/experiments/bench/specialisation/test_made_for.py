"""Made for: the budget is between two uniform allocations, and nothing loses less inside it."""

import itertools

import numpy as np
import pytest

from agents.solvers.response_losses import response_losses
from env.decisions.space import decision_space
from env.responses.table_losses import table_losses
from env.testing import formula_table, tied_layers
from experiments.bench.specialisation.made_for import best_inside, decide, limit_of
from experiments.stages.resource_budget import UniformFigures
from quant.allocation import Allocation

SPACE = decision_space(tied_layers(), (2, 8))
TABLE = formula_table(SPACE.layers)


def uniform(times_ms: dict[int, float]) -> dict[int, UniformFigures]:
    return {bits: UniformFigures(latency_ms=ms, model_bytes=0) for bits, ms in times_ms.items()}


def test_a_budget_is_a_share_of_the_way_to_all_8() -> None:
    decided = decide(uniform({8: 2.0, 4: 1.0, 2: 1.2}), 0.3)
    assert decided.budget.latency_ms == pytest.approx(1.3)
    assert decided.latency_shares == {4: 0.7, 8: 0.3}
    assert decided.reason.startswith("30 % of the way from uniform 4 bits (1.0000 ms)")


def test_where_bits_buy_no_time_all_8_is_the_budget() -> None:
    decided = decide(uniform({8: 1.0, 4: 0.96, 2: 1.1}), 0.3)
    assert decided.budget.latency_ms == pytest.approx(1.0)
    slower = decide(uniform({8: 1.0, 4: 1.1}), 0.3)
    assert slower.budget.latency_ms == 1.0
    assert slower.latency_shares == {8: 1.0}


def test_nothing_inside_the_budget_loses_less() -> None:
    rng = np.random.default_rng(0)
    responses = np.stack(
        [rng.uniform(0.01, 1.0, len(SPACE.decisions)), np.zeros(len(SPACE.decisions))], 1
    )
    losses = response_losses(SPACE, responses)
    figures = {bits: TABLE.predict_ms(one) for bits, one in SPACE.uniforms().items()}
    decided = decide(uniform(figures), 0.3)
    limit = limit_of(SPACE, TABLE, decided)
    found = best_inside(SPACE, losses, TABLE, limit)
    assert found is not None
    assert limit == pytest.approx(decided.budget.latency_ms)
    every = [
        SPACE.allocation(bits) for bits in itertools.product((2, 8), repeat=len(SPACE.decisions))
    ]
    inside = [one for one in every if TABLE.predict_ms(one) <= limit]
    assert found in inside
    assert 0 < len(inside) < len(every)
    assert table_losses(SPACE, responses, [found])[0] == min(table_losses(SPACE, responses, inside))


def test_all_8_is_best_where_it_is_the_budget() -> None:
    responses = np.stack([np.ones(len(SPACE.decisions)), np.zeros(len(SPACE.decisions))], 1)
    all_8 = Allocation.uniform(SPACE.layers, 8)
    # Measured a little faster than the table's sum, inside which all-8 must be all the same.
    decided = decide(uniform({8: 0.99 * TABLE.predict_ms(all_8), 2: 10.0}), 0.3)
    limit = limit_of(SPACE, TABLE, decided)
    assert best_inside(SPACE, response_losses(SPACE, responses), TABLE, limit) == all_8
