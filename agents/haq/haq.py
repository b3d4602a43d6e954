"""HAQ: DDPG on real-valued actions, its allocations lowered into the budget before evaluation."""

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
from stable_baselines3 import DDPG
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.costs.spending import spending_of
from agents.haq.config import HAQConfig
from agents.haq.executed_replay import ExecutedReplay
from agents.haq.lowering import lower
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.training.episode_log import EpisodeLog
from agents.uniform import evaluate_uniform
from env.continuous_actions import ContinuousActions, SettlingEvaluator
from env.evaluating.search_evaluator import SearchEvaluator
from quant.allocation import Allocation

_PATIENCE = 50
"""Episodes in a row that end in known allocations, after which the space counts as used up."""
_REPEATS_WIDEN = 1.1
"""Factor on the noise for each of them."""


class FadingNoise(ActionNoise):
    """Normal noise whose spread falls by one factor with every evaluation that is spent.

    Each episode in a row that ends in a known allocation widens it again by a tenth: an agent that
    has settled at the ends of its range would otherwise never leave them.
    """

    def __init__(
        self,
        config: HAQConfig,
        evaluator: SearchEvaluator,
        settling: SettlingEvaluator,
        rng: np.random.Generator,
    ) -> None:
        """Spread the fall over the evaluations that are left."""
        super().__init__()
        self._config, self._rng = config, rng
        self._evaluator, self._settling = evaluator, settling
        self._left = evaluator.remaining
        self.spread = config.noise
        """Standard deviation in actions of 0..1."""

    def __call__(self) -> npt.NDArray[np.float32]:
        """Return the noise of one action, in the policy's own -1..1."""
        return self._rng.normal(0.0, 2.0 * self.spread, 1).astype(np.float32)

    def reset(self) -> None:
        """Follow the evaluations, at the end of every episode."""
        spent = 1.0 - self._evaluator.remaining / self._left
        faded = self._config.noise * (self._config.noise_end / self._config.noise) ** spent
        self.spread = min(1.0, faded * _REPEATS_WIDEN**self._settling.repeats)


class StopWhenDone(BaseCallback):
    """Ends training when no evaluation is left, or the agent repeats itself."""

    def __init__(self, evaluator: SearchEvaluator, settling: SettlingEvaluator) -> None:
        """Keep what counts."""
        super().__init__()
        self._evaluator, self._settling = evaluator, settling

    def _on_step(self) -> bool:
        return self._evaluator.remaining > 0 and self._settling.repeats < _PATIENCE


def search(problem: SearchProblem, config: HAQConfig, *, seed: int) -> SearchResult:
    """Let a DDPG agent choose freely, lower its choice into the budget, and credit what was run.

    A resumed search plays its episodes again: the past evaluations are handed back, so that only
    the agent's own arithmetic is repeated.
    Source: Wang et al. 2019, "HAQ: Hardware-Aware Automated Quantization with Mixed Precision"
    (CVPR).
    """
    evaluate_uniform(problem)
    evaluator = problem.evaluator
    evaluator.proposer = "haq"
    if evaluator.remaining <= 0:
        return rank_candidates(problem)

    def settle(allocation: Allocation) -> Allocation:
        spending = spending_of(problem)
        return spending.allocation(lower(spending.columns(allocation), spending))

    settling = SettlingEvaluator(evaluator, settle)
    env = problem.make_env()
    env.evaluator = settling
    view = ContinuousActions(env, problem.make_env())
    noise = FadingNoise(config, evaluator, settling, np.random.default_rng(seed))
    agent = _agent(problem, config, view, noise, seed)
    _forget_curves(problem.log_folder)
    agent.learn(
        evaluator.remaining * (_PATIENCE + 1) * len(env.decisions),
        callback=[EpisodeLog(), StopWhenDone(evaluator, settling)],
        tb_log_name="haq",
    )
    evaluator.adopt_past()
    return rank_candidates(problem)


def _agent(
    problem: SearchProblem,
    config: HAQConfig,
    view: ContinuousActions,
    noise: ActionNoise,
    seed: int,
) -> DDPG:
    steps = view.steps
    return DDPG(
        "MlpPolicy",
        DummyVecEnv([lambda: Monitor(view)]),
        learning_rate=config.learning_rate,
        buffer_size=config.replay_episodes * steps,
        learning_starts=config.warm_up_episodes * steps,
        batch_size=config.batch_size,
        tau=config.tau,
        gamma=1.0,
        train_freq=(1, "episode"),
        gradient_steps=config.updates * steps,
        action_noise=noise,
        replay_buffer_class=ExecutedReplay,
        replay_buffer_kwargs={"reward_scale": config.reward_scale, "baseline": config.baseline},
        policy_kwargs={"net_arch": list(config.hidden)},
        tensorboard_log=None if problem.log_folder is None else str(problem.log_folder),
        seed=seed,
        device="cpu",
    )


def _forget_curves(folder: Path | None) -> None:
    """Drop what the killed part of a run logged: the episodes are played and logged again."""
    for events in folder.glob("haq_*") if folder is not None else ():
        shutil.rmtree(events)
