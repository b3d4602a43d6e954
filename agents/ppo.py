"""PPO: a policy that walks the layers, practises on a model, and is corrected by real episodes."""

from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agents.episode_log import EpisodeLog
from agents.policy import make_model, policy_choice, train
from agents.search import SearchProblem, SearchResult, ranked_candidates
from agents.uniform import evaluate_uniform
from env.alternating import AlternatingEvaluator
from env.bit_allocation import BitAllocationEnv
from env.practice import PracticeEvaluator
from quant.allocation import Allocation

__all__ = ["search"]

FINAL_SAMPLES = 256
"""Allocations sampled from the trained policy, of which practice ranks the final candidates."""
LATE_EPISODES = 2
"""The training's length allows this many times the planned practice between real episodes: a
policy that proposes what was evaluated already keeps the next real episode due."""


class EndWithEvaluations(BaseCallback):
    """Ends training when no real episode is left."""

    def __init__(self, alternating: AlternatingEvaluator) -> None:
        """Keep the evaluator that counts."""
        super().__init__()
        self._alternating = alternating

    def _on_step(self) -> bool:
        return self._alternating.real_left > 0


def search(problem: SearchProblem, *, seed: int) -> SearchResult:
    """Search with MaskablePPO until the evaluation limit is used up.

    Uniform allocations inside the budget come first, then practice episodes, then a real episode
    after every `practice_episodes`. The last evaluations go to the deterministic policy's choice
    and to what practice thinks best among the policy's samples.
    Source: Schulman et al. 2017 (PPO); Huang and Ontanon 2022 (invalid action masking).
    """
    config = problem.ppo
    evaluate_uniform(problem)
    if problem.evaluator.remaining == 0:
        return ranked_candidates(problem)
    problem.evaluator.proposer = "ppo"
    probe = problem.make_env()
    practice = PracticeEvaluator(
        problem.layers, problem.table, probe.sensitivities, problem.reference
    )
    alternating = AlternatingEvaluator(
        problem.evaluator,
        practice,
        warm_up_episodes=config.warm_up_episodes,
        practice_episodes=config.practice_episodes,
        reserve=min(config.final_evaluations, problem.evaluator.remaining),
    )

    def make_env() -> BitAllocationEnv:
        env = problem.make_env()
        env.evaluator = alternating
        return env

    model = make_model(
        make_env,
        config,
        seed=seed,
        tensorboard_log=None if problem.log_folder is None else str(problem.log_folder),
    )
    between = (1 + config.practice_episodes) * LATE_EPISODES
    episodes = config.warm_up_episodes + alternating.real_left * between
    if alternating.real_left > 0:
        train(model, episodes, config, [EpisodeLog(), EndWithEvaluations(alternating)])
    _evaluate_final(problem, model, practice, seed)
    return ranked_candidates(problem)


def _evaluate_final(
    problem: SearchProblem, model: Any, practice: PracticeEvaluator, seed: int
) -> None:
    """Spend what is left on the policy's choice and on the best of its samples, best first."""
    evaluator = problem.evaluator
    env = problem.make_env()
    env.evaluator = practice
    rng = np.random.default_rng(seed)
    choice = policy_choice(model, env)
    samples = [policy_choice(model, env, rng=rng) for _ in range(FINAL_SAMPLES)]
    seen = {evaluation.allocation for evaluation in evaluator.evaluations}
    if choice not in seen and evaluator.remaining > 0:
        seen.add(choice)
        practice.observe(evaluator.evaluate([choice])[0])
    while evaluator.remaining > 0:
        fresh: list[Allocation] = [a for a in dict.fromkeys(samples) if a not in seen]
        if not fresh:
            return
        best = max(practice.evaluate(fresh), key=lambda evaluation: evaluation.accuracy)
        seen.add(best.allocation)
        practice.observe(evaluator.evaluate([best.allocation])[0])
