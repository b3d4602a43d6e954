"""PPO finds an optimum that brute force knows; what random search does is printed beside it."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from agents.ppo.config import PPOConfig
from agents.ppo.policy import make_model, policy_choice, policy_samples, train
from env.bit_allocation import BitAllocationEnv
from env.decisions.budget import Budget
from env.decisions.space import decision_space
from env.evaluating.reward import RewardConfig, reward
from env.testing import FormulaEvaluator, conv_layer, formula_sensitivities, formula_table
from quant.allocation import Allocation

CHOICES = (2, 4, 6, 8)
SEEDS = range(5)


def problem(
    *, input_only: bool, budget_share: float | None
) -> tuple[Callable[[], BitAllocationEnv], FormulaEvaluator]:
    """Four layers, either with weights alone to decide or with activations too."""
    layers = tuple(
        conv_layer(
            f"l{k}",
            "input" if k == 0 or input_only else f"t{k}",
            channels=channels,
            reads_input=k == 0 or input_only,
        )
        for k, channels in enumerate((3, 6, 5, 4))
    )
    table, sensitivities = formula_table(layers), formula_sensitivities(layers)
    space = decision_space(layers, CHOICES)
    # At this scale two-bit weights cost up to two points: the optimum is neither end.
    evaluator = FormulaEvaluator(space, table, sensitivities, scale=0.005, practice=False)
    budget = Budget()
    if budget_share is not None:
        slow, fast = (table.predict_ms(Allocation.uniform(layers, bits)) for bits in (8, 2))
        budget = Budget(latency_ms=fast + (slow - fast) * budget_share)
    reference = evaluator.evaluate([Allocation.uniform(layers, 8)])[0]

    def make_env() -> BitAllocationEnv:
        return BitAllocationEnv(
            space=space,
            budget=budget,
            evaluator=evaluator,
            table=table,
            sensitivities=sensitivities,
            reference=reference,
            reward_config=RewardConfig(latency_weight=0.0 if budget_share else 16.0),
        )

    return make_env, evaluator


def ranked(
    env: BitAllocationEnv, evaluator: FormulaEvaluator
) -> tuple[list[tuple[int, ...]], list[float]]:
    """Return every allocation inside the budget and its reward, best first."""
    rewards = {}
    for bits in itertools.product(CHOICES, repeat=len(env.decisions)):
        evaluation = evaluator.evaluate([env.space.allocation(bits)])[0]
        if env.budget.allows(
            latency_ms=evaluation.latency_ms, model_bytes=evaluation.model_bytes, tolerance=1e-12
        ):
            rewards[bits] = reward(evaluation, env.reference, env.reward_config)[0]
    order = sorted(rewards, key=rewards.__getitem__, reverse=True)
    return order, [rewards[bits] for bits in order]


def random_choices(env: BitAllocationEnv, episodes: int, seed: int) -> list[tuple[int, ...]]:
    """Return what masked random choices end in, an allocation for each episode."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(episodes):
        env.reset()
        bits: list[int] = []
        while len(bits) < len(env.decisions):
            action = rng.choice(np.flatnonzero(env.action_masks()))
            bits.append(CHOICES[action])
            env.step(action)
        found.append(tuple(bits))
    return found


def learn(
    make_env: Callable[[], BitAllocationEnv], evaluator: FormulaEvaluator, episodes: int
) -> tuple[list[int], list[int], str]:
    """Return the rank of the deterministic policy's choice for each seed, the best rank among as
    many random choices, and a line that says both."""
    env = make_env()
    order, rewards = ranked(env, evaluator)
    assert rewards[0] > rewards[1], "the optimum is unique"
    config = PPOConfig(rollout_episodes=16)
    ranks, random_ranks = [], []
    for seed in SEEDS:
        model = make_model(make_env, config, seed=seed)
        before = len(evaluator.evaluations)
        train(model, episodes, config)
        assert len(evaluator.evaluations) - before == episodes
        ranks.append(order.index(env.space.bits_of(policy_choice(model, env))))
        random_ranks.append(min(map(order.index, random_choices(env, episodes, seed))))
    line = (
        f"{len(order)} allocations, {episodes} episodes: the policy is the optimum for "
        f"{ranks.count(0)} of {len(SEEDS)} seeds (ranks {ranks}); random search found it for "
        f"{random_ranks.count(0)} (ranks {random_ranks})"
    )
    return ranks, random_ranks, line


def test_samples_are_legal_differ_and_evaluate_nothing() -> None:
    make_env, evaluator = problem(input_only=False, budget_share=1 / 3)
    env = make_env()
    model = make_model(make_env, PPOConfig(), seed=0)
    before = len(evaluator.evaluations)
    env.step(env.action_masks().argmax())  # an episode that has begun is left
    found = policy_samples(model, env, 40)
    assert len(found) == 40
    assert len(set(found)) > 30
    assert len(evaluator.evaluations) == before
    for allocation in found:
        assert env.budget.allows(
            latency_ms=env.table.predict_ms(allocation), model_bytes=0, tolerance=1e-12
        )
    assert policy_choice(model, env) == policy_choice(model, env)


def test_deterministic_policy_is_the_optimum(capsys: pytest.CaptureFixture[str]) -> None:
    """Four layers of four choices, no budget: speed is part of the reward."""
    ranks, _, line = learn(*problem(input_only=True, budget_share=None), episodes=320)
    with capsys.disabled():
        print(f"\n{line}")
    assert ranks.count(0) >= 4


@pytest.mark.slow
def test_policy_beats_random_search_under_a_hard_budget(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same layers with their activations, 4**7 allocations, of which masks leave 2,149."""
    ranks, random_ranks, line = learn(*problem(input_only=False, budget_share=1 / 3), episodes=960)
    with capsys.disabled():
        print(f"\n{line}")
    assert ranks.count(0) > random_ranks.count(0)
    assert sum(ranks) < sum(random_ranks)
