"""BitAllocationEnv: both env checkers, illegal actions, observation and info."""

import warnings
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

from env.bit_allocation import BitAllocationEnv
from env.decisions.budget import Budget
from env.decisions.layer_rules import parse_rules
from env.decisions.space import decision_space
from env.errors import ActionError, BudgetError
from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluator import Evaluator
from env.evaluating.seen_look import SeenLook
from env.observation import ObservationVector
from env.practice.scales import Scales
from env.testing import FormulaEvaluator, formula_sensitivities, formula_table, tied_layers
from quant.allocation import Allocation
from quant.layers import FLOAT_BITS
from quant.records.json_form import to_plain
from quant.retraining.finetune_config import FinetuneConfig
from tests.env.conftest import SmallDigits

CHOICES = (2, 3, 4, 6, 8)


def arguments(
    budget: Budget, render_mode: str | None = None, *, energies: bool = False
) -> dict[str, Any]:
    layers = tied_layers()
    space = decision_space(layers, CHOICES)
    table = formula_table(layers, energies=energies)
    sensitivities = formula_sensitivities(layers)
    evaluator = FormulaEvaluator(space, table, sensitivities)
    return {
        "space": space,
        "budget": budget,
        "evaluator": evaluator,
        "table": table,
        "sensitivities": sensitivities,
        "reference": evaluator.evaluate([Allocation.uniform(layers, 8)])[0],
        "render_mode": render_mode,
    }


def middle_budget() -> Budget:
    layers = tied_layers()
    table = formula_table(layers)
    slow, fast = (table.predict_ms(Allocation.uniform(layers, bits)) for bits in (8, 2))
    return Budget(latency_ms=fast + (slow - fast) / 3, model_bytes=450)


@pytest.mark.parametrize("budget", [Budget(), middle_budget()], ids=["free", "both"])
def test_env_checkers_find_nothing(budget: Budget) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gym.make("BitAllocLegal-v0", **arguments(budget, "ansi"))
        gymnasium_check(made.unwrapped)
        sb3_check(made.unwrapped)


def test_episode_through_make() -> None:
    env = gym.make("BitAlloc-v0", **arguments(middle_budget(), "ansi"))
    rng = np.random.default_rng(0)
    for _ in range(20):
        observation, info = env.reset(seed=0)
        keys, terminated, steps = set(info), False, 0
        while not terminated:
            assert observation in env.observation_space
            assert info["score"] is None
            legal = np.flatnonzero(env.get_wrapper_attr("action_masks")())
            observation, reward, terminated, truncated, info = env.step(rng.choice(legal))
            steps += 1
            assert set(info) == keys
            assert not truncated
            assert terminated or reward == 0.0
        evaluation = info["evaluation"]
        assert steps == 8
        assert middle_budget().allows(
            latency_ms=evaluation.latency_ms, model_bytes=evaluation.model_bytes
        )
        assert reward == pytest.approx(sum(info[f"reward_{t}"] for t in ("accuracy", "latency")))
        assert info["practice"]


def test_all_eight_earns_nothing() -> None:
    env = BitAllocationEnv(**arguments(Budget()))
    env.reset()
    for _ in env.decisions:
        *_, reward, _, _, _ = env.step(np.int64(CHOICES.index(8)))
    assert reward == 0.0


def test_the_last_step_says_whether_the_retraining_was_kept(small_digits: SmallDigits) -> None:
    layers = small_digits.network.layers
    evaluator = Evaluator(
        small_digits.network.clone(),
        small_digits.device,
        small_digits.task.train,
        small_digits.task.search,
        EnvConfig(finetune=FinetuneConfig(steps=30, scale_images=0, held_back_images=200)),
        seed=0,
        limit=2,
    )
    env = BitAllocationEnv(
        space=decision_space(layers, CHOICES),
        budget=Budget(),
        evaluator=evaluator,
        table=small_digits.table,
        sensitivities=formula_sensitivities(layers),
        reference=evaluator.evaluate([Allocation.uniform(layers, 8)])[0],
    )
    env.reset()
    for decided in range(len(env.decisions)):
        *_, info = env.step(np.int64(0))
        assert (info["kept"] is None) == (decided + 1 < len(env.decisions))
    retraining = info["evaluation"].retraining
    assert info["kept"] == retraining.kept == "trained"
    assert retraining.trained_loss < retraining.start_loss


def test_illegal_action_is_refused_with_what_is_legal() -> None:
    env = BitAllocationEnv(**arguments(Budget(model_bytes=350)))
    env.reset()
    illegal = int(np.flatnonzero(~env.action_masks())[-1])
    with pytest.raises(ActionError, match=r"expected one of 2, .* bits for the weights of stem"):
        env.step(np.int64(illegal))
    with pytest.raises(ActionError, match="action 9"):
        env.step(np.int64(9))


def test_step_after_the_end_is_refused() -> None:
    env = BitAllocationEnv(**arguments(Budget()))
    for _ in env.decisions:
        env.step(np.int64(0))
    with pytest.raises(ActionError, match="episode is over"):
        env.step(np.int64(0))


def test_budget_is_in_the_observation_and_can_change_at_reset() -> None:
    env = BitAllocationEnv(**arguments(Budget(model_bytes=450)))
    first, _ = env.reset()
    second, _ = env.reset(options={"budget": Budget(model_bytes=500)})
    changed = {name for name, a, b in zip(env.observer.names, first, second, strict=True) if a != b}
    assert changed == {"model_bytes_left", "model_bytes_budget"}
    with pytest.raises(BudgetError):
        env.reset(options={"budget": Budget(model_bytes=1)})


def test_measured_times_move_the_masks() -> None:
    budget = Budget(latency_ms=middle_budget().latency_ms)
    env = BitAllocationEnv(**arguments(budget))
    assert budget.latency_ms is not None
    slowest = []
    for scale in (1.0, 1.25, 1e9):
        env.correct(Scales(latency=scale))
        env.reset()
        for _ in env.decisions:
            *_, info = env.step(np.flatnonzero(env.action_masks())[-1])
        slowest.append(info["latency_ms"])
    assert slowest[0] <= budget.latency_ms
    assert slowest[1] <= budget.latency_ms / 1.25
    assert slowest[2] == slowest[1], "a scale with which nothing fits is ignored"


def test_a_layer_in_float_does_not_drown_the_others_in_the_observed_means() -> None:
    layers = tied_layers()
    space = decision_space(layers, CHOICES, parse_rules(["first=float/*", "second=4,float/8"]))
    env = BitAllocationEnv(**arguments(Budget()) | {"space": space})
    names = env.observer.names
    assert {"sensitivity_float", "time_float"} <= set(names)
    env.reset()
    seen = {}
    for decision, bits in zip(env.decisions, (4, 4, FLOAT_BITS), strict=False):
        observation, *_ = env.step(np.int64(space.widths.index(bits)))
        assert bits in decision.menu
        seen = dict(zip(names, observation.tolist(), strict=True))
    assert seen["last_1_bits"] == 1.0
    assert seen["mean_weight_bits"] == pytest.approx((4 / 8 + 1) / 2)


def test_observation_follows_the_decisions() -> None:
    env = BitAllocationEnv(**arguments(Budget()))
    names = env.observer.names
    env.reset()
    observation, *_ = env.step(np.int64(1))
    observation, *_ = env.step(np.int64(2))
    seen = dict(zip(names, observation.tolist(), strict=True))
    assert seen["last_1_bits"] == 4 / 8
    assert seen["last_2_bits"] == 3 / 8
    assert seen["decides_activations"] == 1.0
    assert seen["mean_weight_bits"] == pytest.approx(3.5 / 8)
    layers, table = env.space.layers, env.table
    # `first` at the chosen 4 bits of weights, `down` at its fastest.
    expected = table.layer_us("first", 4, 6) + min(table.layer_us("down", w, 6) for w in CHOICES)
    all8 = table.layer_us("first", 8, 8) + table.layer_us("down", 8, 8)
    assert seen["time_6"] == pytest.approx(expected / (2 * all8), rel=1e-6)
    assert len(layers) == 5


def test_render_prints_the_bits() -> None:
    env = BitAllocationEnv(**arguments(Budget(), "ansi"))
    env.reset()
    env.step(np.int64(0))
    text = env.render()
    assert text is not None
    assert text.splitlines()[1].split() == ["stem", "2", "8"]
    assert text.splitlines()[2].split() == ["first", "-", "-"]


def energy_budget(share: float = 1 / 3) -> Budget:
    layers = tied_layers()
    table = formula_table(layers, energies=True)
    most, least = (table.predict_mj(Allocation.uniform(layers, bits)) for bits in (8, 2))
    assert most is not None
    assert least is not None
    return Budget(energy_mj=least + (most - least) * share)


def test_an_energy_budget_is_kept_by_masks_and_seen() -> None:
    plain = BitAllocationEnv(**arguments(Budget()))
    env = BitAllocationEnv(**arguments(energy_budget(), energies=True))
    added = set(env.observer.names) - set(plain.observer.names)
    wanted = {f"energy_{bits}" for bits in CHOICES}
    assert added == wanted | {"share_of_energy", "energy_left", "energy_budget"}
    rng = np.random.default_rng(0)
    for _ in range(20):
        env.reset()
        for _ in env.decisions:
            action = rng.choice(np.flatnonzero(env.action_masks()))
            observation, _, _, _, info = env.step(action)
        assert observation in env.observation_space
        assert info["energy_mj"] <= env.budget.energy_mj
        assert "predicted_mj" in to_plain(info["evaluation"])


def test_the_energy_budget_is_in_the_observation() -> None:
    env = BitAllocationEnv(**arguments(energy_budget(), energies=True))
    first, _ = env.reset()
    second, _ = env.reset(options={"budget": energy_budget(2 / 3)})
    changed = {name for name, a, b in zip(env.observer.names, first, second, strict=True) if a != b}
    assert changed == {"energy_left", "energy_budget"}


def test_measured_energies_move_the_masks() -> None:
    env = BitAllocationEnv(**arguments(energy_budget(), energies=True))
    limit = env.budget.energy_mj
    assert limit is not None
    found = []
    for scale in (1.0, 1.25, 1e9):
        env.correct(Scales(energy=scale))
        env.reset()
        for _ in env.decisions:
            *_, info = env.step(np.flatnonzero(env.action_masks())[-1])
        found.append(info["energy_mj"])
    assert found[0] <= limit
    assert found[1] <= limit / 1.25
    assert found[2] == found[1], "a scale with which nothing fits is ignored"
    with pytest.raises(ActionError, match="finite energy scale"):
        env.correct(Scales(energy=0.0))


def test_three_budgets_at_once_end_inside_all_of_them() -> None:
    both = middle_budget()
    energy = energy_budget(1 / 2)
    budget = Budget(
        latency_ms=both.latency_ms, model_bytes=both.model_bytes, energy_mj=energy.energy_mj
    )
    env = BitAllocationEnv(**arguments(budget, energies=True))
    rng = np.random.default_rng(1)
    for _ in range(20):
        env.reset()
        for _ in env.decisions:
            *_, info = env.step(rng.choice(np.flatnonzero(env.action_masks())))
        assert budget.allows(
            latency_ms=info["latency_ms"],
            model_bytes=int(info["model_bytes"]),
            energy_mj=info["energy_mj"],
        )


class LastBits:
    """Shows an episode by one number: the width that was decided last."""

    names = ("last_bits",)

    def __init__(self) -> None:
        self.space = spaces.Box(0.0, 8.0, (1,), np.float32)

    def observe(
        self,
        bits: Sequence[int],
        left: Sequence[float],
        budget: Sequence[float],
        look: SeenLook | None = None,
    ) -> ObservationVector:
        assert len(left) == len(budget) == 3
        return np.asarray(bits[-1:] or [0], dtype=np.float32)


def test_an_observer_of_anybodys_is_all_that_is_shown() -> None:
    env = BitAllocationEnv(**arguments(middle_budget()), observer=LastBits())
    assert env.observer.names == ("last_bits",)
    assert env.reset()[0].tolist() == [0]
    observation, *_ = env.step(np.int64(CHOICES.index(4)))
    assert observation.tolist() == [4]
    assert observation in env.observation_space
