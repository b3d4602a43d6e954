import json

import pytest

from env.decisions.budget import Budget, BudgetConfig
from env.errors import BudgetError
from env.tasks import TaskConfig
from experiments.errors import ConfigError
from experiments.settings.run_config import RunConfig
from experiments.stages.resource_budget import (
    DecidedBudget,
    UniformFigures,
    beside_all_8,
    decide_budget,
)
from quant.objective.metrics import SQUARED_ERROR
from tests.experiments.evaluations import measurement

STEEP = {
    8: UniformFigures(latency_ms=0.10, model_bytes=8000),
    6: UniformFigures(latency_ms=0.07, model_bytes=6000),
    2: UniformFigures(latency_ms=0.04, model_bytes=2000),
}
FLAT = {
    8: UniformFigures(latency_ms=0.100, model_bytes=8000),
    2: UniformFigures(latency_ms=0.097, model_bytes=2000),
}


def test_default_is_a_third_of_the_way_from_the_fastest_to_all_8() -> None:
    decided = decide_budget(BudgetConfig(), STEEP)
    assert decided.budget.latency_ms == pytest.approx(0.06)
    assert decided.budget.model_bytes is None


def test_default_is_model_bytes_where_bits_buy_no_time_and_says_so() -> None:
    decided = decide_budget(BudgetConfig(), FLAT)
    assert decided.budget == Budget(model_bytes=4000)
    assert "no time" in decided.reason


@pytest.mark.parametrize(
    ("config", "budget"),
    [
        (BudgetConfig(latency_ms=0.5), Budget(latency_ms=0.5)),
        (BudgetConfig(latency_ratio=0.8), Budget(latency_ms=0.08)),
        (BudgetConfig(latency_share=0.5), Budget(latency_ms=0.07)),
        (BudgetConfig(latency_share=0.0), Budget(latency_ms=0.04)),
        (BudgetConfig(model_bytes_ratio=0.5), Budget(model_bytes=4000)),
        (
            BudgetConfig(latency_ratio=0.5, model_bytes=3000),
            Budget(latency_ms=0.05, model_bytes=3000),
        ),
    ],
)
def test_what_was_asked_for_becomes_absolute(config: BudgetConfig, budget: Budget) -> None:
    decided = decide_budget(config, STEEP).budget
    assert decided.latency_ms == pytest.approx(budget.latency_ms)
    assert decided.model_bytes == budget.model_bytes


def test_an_accuracy_drop_alone_limits_no_resource() -> None:
    decided = decide_budget(BudgetConfig(accuracy_drop=0.01), STEEP)
    assert decided.budget == Budget()
    assert "at most 1 points" in decided.reason
    both = decide_budget(BudgetConfig(accuracy_drop=0.01, model_bytes=3000), STEEP)
    assert both.budget == Budget(model_bytes=3000)
    with pytest.raises(ConfigError, match="accuracy_drop: expected less than 1"):
        RunConfig(budget=BudgetConfig(accuracy_drop=1.0))
    error = RunConfig(budget=BudgetConfig(accuracy_drop=1.5), task=TaskConfig(metric="mse"))
    reason = decide_budget(error.budget, STEEP, SQUARED_ERROR.metric).reason
    assert reason == "the fastest whose MSE is at most 348 % above uniform 8 bits'"


@pytest.mark.parametrize(
    ("fastest_ms", "hint"),
    [(0.5, "raise the budget"), (0.98, "bits buy no time on this device: limit bytes")],
)
def test_a_budget_that_nobody_meets_is_refused_beside_all_8(fastest_ms: float, hint: str) -> None:
    uniform = {
        2: UniformFigures(latency_ms=fastest_ms, model_bytes=250),
        8: UniformFigures(latency_ms=1.0, model_bytes=1000),
    }
    error = BudgetError("the least is 0.5 ms", "raise the budget")
    refused = beside_all_8(error, uniform, Budget(latency_ms=0.1))
    assert refused.message == "the least is 0.5 ms; uniform 8 bits takes 1 ms and 1000 bytes"
    assert refused.hint is not None
    assert refused.hint.startswith(hint)
    of_bytes = beside_all_8(error, uniform, Budget(model_bytes=100))
    assert of_bytes.hint == "raise the budget", "bytes are limited already"


def test_a_busy_machines_times_do_not_buy_what_the_layer_table_denies() -> None:
    """As of a machine whose bits cost the same: all-8 was timed in a slow minute."""

    def uniform(*, stable: bool, fastest: float | None) -> dict[int, UniformFigures]:
        return {
            6: UniformFigures(latency_ms=0.13, model_bytes=600, predicted_ms=fastest),
            8: UniformFigures(
                latency_ms=0.29,
                model_bytes=800,
                stable=stable,
                predicted_ms=None if fastest is None else 0.13,
            ),
        }

    denied = decide_budget(BudgetConfig(), uniform(stable=False, fastest=0.129))
    assert denied.budget == Budget(model_bytes=666)
    assert "bits buy no time on this device (by the layer table; the machine was" in denied.reason
    for stable, fastest in ((True, 0.129), (True, None), (False, 0.09), (False, None)):
        decided = decide_budget(BudgetConfig(), uniform(stable=stable, fastest=fastest))
        assert decided.budget.latency_ms == pytest.approx(0.13 + 0.16 / 3)
        assert ("too busy for stable times" in decided.reason) is not stable


def test_a_share_is_one_of_what_is_timed_beside() -> None:
    """On a machine that is now 1.5 times slower, and the other way round for an absolute limit."""
    slower = {bits: measurement(1.5 * figures.latency_ms) for bits, figures in STEEP.items()}
    default = decide_budget(BudgetConfig(), STEEP)
    assert default.beside(slower).latency_ms == pytest.approx(1.5 * 0.06)
    half = decide_budget(BudgetConfig(latency_share=0.5), STEEP)
    assert half.beside(slower).latency_ms == pytest.approx(1.5 * 0.07)
    assert half.reason == "50 % of the way from uniform 2 bits (0.0400 ms) to 8 bits (0.1000 ms)"
    ratio = decide_budget(BudgetConfig(latency_ratio=0.8, model_bytes=3000), STEEP)
    assert ratio.beside(slower).latency_ms == pytest.approx(1.5 * 0.08)
    assert ratio.beside(slower).model_bytes == 3000
    absolute = decide_budget(BudgetConfig(latency_ms=0.5), STEEP)
    assert absolute.beside(slower) == absolute.budget
    without_8 = {2: slower[2]}
    assert ratio.beside(without_8) == ratio.budget


@pytest.mark.parametrize(("share", "shares"), [(0.0, {2: 1.0}), (1.0, {8: 1.0})])
def test_either_end_of_the_way_is_a_share_of_one_allocation(
    share: float, shares: dict[int, float]
) -> None:
    assert decide_budget(BudgetConfig(latency_share=share), STEEP).latency_shares == shares


def test_a_decided_budget_is_read_back_and_that_of_before_is_absolute() -> None:
    decided = decide_budget(BudgetConfig(), STEEP)
    assert DecidedBudget.from_dict(json.loads(json.dumps(decided.to_dict()))) == decided
    before = {"latency_ms": 0.06, "model_bytes": None, "energy_mj": None, "reason": "as asked"}
    assert DecidedBudget.from_dict(before).latency_shares == {}
