"""The PPO model: how it is made, trained for a number of episodes, and asked for its choice."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agents.ppo.config import PPOConfig
from env.bit_allocation import BitAllocationEnv
from quant.allocation import Allocation


class EntropyDecay(BaseCallback):
    """Lowers the entropy bonus linearly, so that the policy explores first and settles later."""

    def __init__(self, config: PPOConfig) -> None:
        """Keep both ends of the line."""
        super().__init__()
        self._config = config

    def _on_rollout_start(self) -> None:
        left = float(self.model._current_progress_remaining)
        config = self._config
        self.model.ent_coef = config.entropy_end + left * (  # type: ignore[attr-defined]
            config.entropy_start - config.entropy_end
        )

    def _on_step(self) -> bool:
        return True


def make_model(
    make_env: Callable[[], BitAllocationEnv],
    config: PPOConfig,
    *,
    seed: int,
    tensorboard_log: str | None = None,
) -> Any:
    """Make a MaskablePPO model with its environments.

    Args:
        make_env: Makes one environment; called `config.environments` times.
        config: Sizes.
        seed: Seeds the policy's weights and its sampling.
        tensorboard_log: Folder of the event files; None for none.
    """
    envs = DummyVecEnv([lambda: Monitor(make_env()) for _ in range(config.environments)])
    # Rewards span a hundred units where bits ruin a network; the value function needs them near 1.
    normalized = VecNormalize(envs, norm_obs=False, norm_reward=True, gamma=1.0)
    steps = len(envs.get_attr("decisions", 0)[0])
    episodes_each = -(-config.rollout_episodes // config.environments)
    n_steps = max(2, episodes_each * steps)
    rollout = n_steps * config.environments
    return MaskablePPO(
        "MlpPolicy",
        normalized,
        n_steps=n_steps,
        batch_size=_batch_size(rollout, config.minibatches),
        n_epochs=config.epochs,
        learning_rate=lambda left: config.learning_rate * (0.1 + 0.9 * left),
        gamma=1.0,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        ent_coef=config.entropy_start,
        policy_kwargs={"net_arch": list(config.hidden)},
        tensorboard_log=tensorboard_log,
        seed=seed,
        device="cpu",
    )


def _batch_size(rollout: int, minibatches: int) -> int:
    """Return the steps of a minibatch, at least two in each: one has no spread to divide by.

    An episode can be a single step, where rules tie everything.
    """
    size = max(2, -(-rollout // minibatches))
    while rollout % size == 1:
        size += 1
    return size


def train(
    model: Any, episodes: int, config: PPOConfig, callbacks: Sequence[BaseCallback] = ()
) -> None:
    """Train for about `episodes` episodes: whole rollouts, until a callback ends it."""
    steps = episodes * len(model.get_env().get_attr("decisions", 0)[0])
    model.learn(
        steps,
        callback=[EntropyDecay(config), *callbacks],
        reset_num_timesteps=False,
        tb_log_name="ppo",
    )


def episodes_trained(model: Any) -> int:
    """Return how many episodes a model has learnt from, in this process and before."""
    steps = len(model.get_env().get_attr("decisions", 0)[0])
    return int(model.num_timesteps) // steps


def policy_choice(model: Any, env: BitAllocationEnv) -> Allocation:
    """Return the allocation of the policy's most probable actions, without evaluating it.

    Args:
        model: The trained model.
        env: An environment of the same problem; it is reset.
    """
    return _play(model, env, 1, deterministic=True)[0]


def policy_samples(model: Any, env: BitAllocationEnv, count: int) -> list[Allocation]:
    """Return allocations that the policy draws, without evaluating them.

    Args:
        model: The trained model.
        env: An environment of the same problem; it is reset.
        count: How many; some may be equal.
    """
    return _play(model, env, count, deterministic=False)


def _play(
    model: Any, env: BitAllocationEnv, count: int, *, deterministic: bool
) -> list[Allocation]:
    """Play episodes side by side, so that the policy is asked once for a step of all of them."""
    env.reset()  # once: with new scales or a new budget it prepares the masks anew
    episodes = [copy(env) for _ in range(count)]  # share everything that no episode changes
    observations = [episode.reset()[0] for episode in episodes]
    bits: list[list[int]] = [[] for _ in episodes]
    for step in range(len(env.decisions)):
        actions, _ = model.predict(
            np.stack(observations),
            action_masks=np.stack([episode.action_masks() for episode in episodes]),
            deterministic=deterministic,
        )
        for decided, action in zip(bits, actions, strict=True):
            decided.append(env.space.widths[int(action)])
        if step + 1 < len(env.decisions):  # the last step would evaluate
            observations = [
                episode.step(action)[0] for episode, action in zip(episodes, actions, strict=True)
            ]
    return [env.space.allocation(decided) for decided in bits]
