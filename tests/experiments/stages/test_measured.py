"""What is known before a search: the layer table and the uniform allocations it must agree with."""

import pytest

from env.decisions.budget import BudgetConfig
from env.decisions.costs import cost_table
from env.decisions.masks import BudgetMask
from env.decisions.space import decision_space
from env.testing import formula_table, tied_layers
from experiments.stages.measured import anchor_table
from experiments.stages.resource_budget import UniformFigures, decide_budget
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.records.json_form import from_plain, to_plain


def test_a_table_of_a_slow_minute_does_not_make_a_reachable_budget_look_impossible() -> None:
    layers = tied_layers()
    quiet = formula_table(layers)
    allocations = {bits: Allocation.uniform(layers, bits) for bits in (2, 4, 8)}
    uniform = {
        bits: UniformFigures(
            latency_ms=quiet.predict_ms(Allocation.uniform(layers, bits)), model_bytes=bits
        )
        for bits in (2, 4, 8)
    }
    budget = decide_budget(BudgetConfig(), uniform).budget

    table = anchor_table(quiet.scale_times(2.5), allocations, uniform)

    assert table.predict_ms(Allocation.uniform(layers, 2)) == pytest.approx(uniform[2].latency_ms)
    assert table.scale == pytest.approx(1.0)
    assert from_plain(LayerTable, to_plain(table)) == table
    assert quiet.scale_times(2.5).scale == pytest.approx(2.5)
    space = decision_space(layers, (2, 4, 8))
    BudgetMask(space, cost_table(space, table), budget)
