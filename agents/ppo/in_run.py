"""Search with a policy of the run's own: it practises on a model, and real episodes correct it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from torch.utils.tensorboard import SummaryWriter

from agents.ppo.config import PPOConfig
from agents.ppo.policy import episodes_trained, make_model, policy_choice, policy_samples, train
from agents.ppo.policy_file import PolicyFile, SavePolicy
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.training.episode_log import EpisodeLog
from agents.uniform import evaluate_uniform
from env.bit_allocation import BitAllocationEnv
from env.evaluating.reward import reward
from env.practice.alternating import AlternatingEvaluator
from env.practice.practice import PracticeEvaluator
from env.practice.scales import Scales
from quant.allocation import Allocation

_FINAL_SAMPLES = 256
"""Allocations sampled from the trained policy, of which practice ranks the final candidates."""


class FollowEvaluations(BaseCallback):
    """Tells the environments what was measured, and ends training after the last real episode."""

    def __init__(self, alternating: AlternatingEvaluator, practice: PracticeEvaluator) -> None:
        """Keep the evaluators that count and learn."""
        super().__init__()
        self._alternating, self._practice = alternating, practice
        self._scales = Scales()

    def _on_training_start(self) -> None:
        self._on_step()

    def _on_step(self) -> bool:
        if self._practice.scales != self._scales:
            self._scales = self._practice.scales
            self.training_env.env_method("correct", self._scales)
        return not self._alternating.done


def search_in_run(problem: SearchProblem, config: PPOConfig, *, seed: int) -> SearchResult:
    """Search with MaskablePPO until the evaluation limit is used up.

    Uniform allocations inside the budget come first, then practice episodes, then a real episode
    after every `practice_episodes`. The last evaluations go to the deterministic policy's choice
    and to what practice then thinks best.
    Source: Schulman et al. 2017 (PPO); Huang and Ontanon 2022 (invalid action masking).
    """
    evaluate_uniform(problem)
    problem.evaluator.adopt_past()
    if problem.evaluator.remaining <= 0:
        return rank_candidates(problem)
    problem.evaluator.proposer = "ppo"
    probe = problem.make_env()
    practice = PracticeEvaluator(
        problem.space, problem.table, probe.sensitivities, problem.reference
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
    callbacks: list[BaseCallback] = [
        EpisodeLog(problem.table.energy_source),
        FollowEvaluations(alternating, practice),
    ]
    if problem.state_folder is not None:
        file = PolicyFile(problem.state_folder, problem.say)
        file.load(model)
        callbacks.append(SavePolicy(file, problem.evaluator))
    if trained := episodes_trained(model):
        alternating.practise_first(config.warm_up_episodes - trained)
        _forget_later_curves(problem.log_folder, model.num_timesteps)
    # A policy that proposes what was evaluated already keeps the next real episode due; what is
    # then left when these episodes are over goes to the final candidates.
    episodes = alternating.until_real + alternating.real_left * (1 + config.practice_episodes)
    if episodes > 0 and not alternating.done:
        train(model, episodes, config, callbacks)
    _evaluate_final(problem, model, practice, list(alternating.practised))
    return rank_candidates(problem)


def _evaluate_final(
    problem: SearchProblem,
    model: Any,
    practice: PracticeEvaluator,
    practised: Sequence[Allocation],
) -> None:
    """Spend what is left on the policy's choice, then on what practice now thinks best.

    Practice looks again at everything it ever answered, because it has learnt since, and at fresh
    samples of the trained policy.
    """
    evaluator = problem.evaluator
    env = problem.make_env()
    env.evaluator = practice
    env.correct(practice.scales)
    choice = policy_choice(model, env)
    samples = policy_samples(model, env, _FINAL_SAMPLES)
    seen = problem.seen()
    candidates = [a for a in dict.fromkeys([choice, *samples, *practised]) if a not in seen]
    if choice in candidates and evaluator.remaining > 0:
        candidates.remove(choice)
        practice.observe(evaluator.evaluate([choice])[0])
    while evaluator.remaining > 0 and candidates:
        expected = [e for e in practice.evaluate(candidates) if problem.budget.admits(e)]
        if not expected:
            return
        best = max(expected, key=lambda e: reward(e, problem.reference, problem.reward)[0])
        candidates.remove(best.allocation)
        practice.observe(evaluator.evaluate([best.allocation])[0])


def _forget_later_curves(folder: Path | None, timesteps: int) -> None:
    """Drop what the killed part of a run logged after its policy was saved."""
    for events in folder.glob("ppo_*") if folder is not None else ():
        SummaryWriter(str(events), purge_step=timesteps + 1).close()
