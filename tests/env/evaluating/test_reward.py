"""The reward is 0 at the reference and each term says what the docstring says."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from env.errors import TaskError
from env.evaluating.evaluation import Evaluation
from env.evaluating.reward import REWARD_TERMS, RewardConfig, reward
from env.testing import tied_layers
from quant.allocation import Allocation
from quant.objective.metric import Metric

REFERENCE = Evaluation(
    allocation=Allocation.uniform(tied_layers(), 8),
    index=0,
    score=0.97,
    score_se=0.01,
    loss=0.1,
    model_bytes=1000,
    predicted_ms=2.0,
    predicted_mj=3.0,
    practice=True,
)


@given(
    st.floats(0, 1),
    st.floats(0.001, 1),
    st.floats(0, 5),
    st.none() | st.floats(0, 1),
    st.floats(0.01, 100),
)
def test_zero_at_the_reference(
    accuracy: float, unit: float, weight: float, floor: float | None, latency_ms: float
) -> None:
    reference = replace(REFERENCE, score=accuracy, predicted_ms=latency_ms)
    config = RewardConfig(
        accuracy_unit=unit, latency_weight=weight, energy_weight=weight, accuracy_floor=floor
    )
    total, terms = reward(reference, reference, config)
    assert total == 0.0
    assert set(terms) == set(REWARD_TERMS)


def test_terms() -> None:
    config = RewardConfig(
        latency_weight=1.0, accuracy_floor=0.96, floor_weight=10.0, speed_worth=0.0
    )
    total, terms = reward(replace(REFERENCE, score=0.95, predicted_ms=1.0), REFERENCE, config)
    assert terms["accuracy"] == pytest.approx(-2.0)
    assert terms["latency"] == pytest.approx(math.log(2.0))
    assert terms["floor"] == pytest.approx(-10.0)
    assert total == pytest.approx(-12.0 + math.log(2.0))


def test_energy_is_rewarded_by_its_ratio() -> None:
    total, terms = reward(
        replace(REFERENCE, predicted_mj=1.5),
        REFERENCE,
        RewardConfig(energy_weight=2.0, speed_worth=0.0),
    )
    assert total == terms["energy"] == pytest.approx(2.0 * math.log(2.0))


def test_all_time_and_energy_are_worth_one_standard_error() -> None:
    # An error of 0.01 is one unit: three quarters of the time and a third of the energy are saved.
    faster = replace(REFERENCE, predicted_ms=0.5, predicted_mj=2.0)
    total, terms = reward(faster, REFERENCE, RewardConfig())
    assert total == terms["speed"] == pytest.approx((0.75 + 1 / 3) / 2)
    without = replace(faster, predicted_mj=None), replace(REFERENCE, predicted_mj=None)
    assert reward(*without, RewardConfig())[0] == pytest.approx(0.75)
    assert reward(*without, RewardConfig(speed_worth=2.0))[0] == pytest.approx(1.5)
    # What is surely less accurate is never better for being fast.
    assert reward(replace(faster, score=0.955), REFERENCE, RewardConfig())[0] < 0


def test_speed_decides_nothing_where_it_is_not_asked_or_no_error_is_known() -> None:
    faster = replace(REFERENCE, predicted_ms=0.1)
    total, terms = reward(faster, REFERENCE, RewardConfig(speed_worth=0.0))
    assert total == terms["latency"] == 0.0
    assert reward(faster, replace(REFERENCE, score_se=None), RewardConfig())[0] == 0.0
    assert RewardConfig().asked_inversely(0.01).speed_worth == 0.0


def test_failure_is_a_stated_value() -> None:
    failed = replace(REFERENCE, error="timed out", predicted_ms=None)
    total, terms = reward(failed, REFERENCE, RewardConfig(latency_weight=1.0))
    assert total == terms["failure"] == -100.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"accuracy_unit": 0.0},
        {"latency_weight": -1.0},
        {"energy_weight": -1.0},
        {"accuracy_floor": -0.5},
        {"failure_reward": 1.0},
        {"failure_reward": math.nan},
    ],
)
def test_wrong_values_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(TaskError, match=f"env.reward.{next(iter(wrong))}"):
        RewardConfig(**wrong)


def test_the_inverse_question_pays_for_speed_above_the_floor_only() -> None:
    config = RewardConfig().asked_inversely(0.01)
    assert config.floor(REFERENCE) == pytest.approx(0.96)
    inside, terms = reward(replace(REFERENCE, score=0.961, predicted_ms=1.0), REFERENCE, config)
    assert inside == terms["latency"] == pytest.approx(math.log(2.0))
    more_accurate, _ = reward(replace(REFERENCE, score=0.99), REFERENCE, config)
    assert more_accurate == 0.0
    outside, terms = reward(replace(REFERENCE, score=0.95, predicted_ms=1.0), REFERENCE, config)
    assert terms["floor"] == pytest.approx(-10.0)
    assert outside < inside


def test_the_inverse_question_takes_energy_where_energy_was_weighed() -> None:
    config = RewardConfig(energy_weight=2.0).asked_inversely(0.01)
    assert (config.latency_weight, config.energy_weight, config.accuracy_weight) == (0.0, 2.0, 0.0)


def test_less_of_an_error_is_better() -> None:
    error = Metric(name="MSE", unit="", more_is_better=False)
    reference = replace(REFERENCE, metric=error, score=0.05)
    worse, better = (replace(reference, score=0.05 * factor) for factor in (1.01, 0.99))
    # One percent is one unit, as one point of accuracy is.
    assert reward(worse, reference, RewardConfig())[0] == pytest.approx(-1.0, rel=0.01)
    assert reward(better, reference, RewardConfig())[0] == pytest.approx(1.0, rel=0.01)
    floor = RewardConfig(accuracy_floor=0.052)
    assert reward(worse, reference, floor)[1]["floor"] == 0.0
    assert reward(replace(reference, score=0.06), reference, floor)[1]["floor"] < -100.0
    asked = RewardConfig().asked_inversely(0.05)
    assert reward(replace(worse, predicted_ms=1.0), reference, asked)[0] > 0.0
    assert reward(replace(reference, score=0.056), reference, asked)[0] < 0.0
