"""ExecutedReplay: a replay buffer that holds what was executed, not what the agent asked for."""

from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from env.continuous_actions import Executed

_Array = npt.NDArray[Any]


class ExecutedReplay(ReplayBuffer):
    """Transitions of whole episodes of one environment, each with the episode's reward.

    HAQ's release stores the actions that the agent chose and the reward of what they were lowered
    to, so that many actions share one reward. Here an episode is stored when it ends, as the
    environment says it was executed, observations included. As in the release every transition
    gets the final reward, and a running mean of rewards is taken off when they are sampled.
    Source: Wang et al. 2019, "HAQ" (CVPR), section 3.4, and the released code.
    """

    def __init__(self, *sizes: Any, reward_scale: float, baseline: float, **more: Any) -> None:
        """Make a buffer of Stable-Baselines3's with two settings of HAQConfig."""
        super().__init__(*sizes, **more)
        self._reward_scale, self._weight = reward_scale, baseline
        self._mean: float | None = None

    def add(
        self,
        obs: _Array,
        next_obs: _Array,
        action: _Array,
        reward: _Array,
        done: _Array,
        infos: list[dict[str, Any]],
    ) -> None:
        """Store the whole episode with its last transition; the ones before it are in it."""
        executed: Executed | None = infos[0]["executed"]
        if executed is None:
            return
        steps = len(executed.actions)
        # The policy acts in -1..1, whatever the space is.
        scaled = 2.0 * executed.actions - 1.0
        for step in range(steps):
            super().add(
                executed.observations[step][None],
                executed.observations[step + 1][None],
                scaled[step][None],
                reward * self._reward_scale,
                np.array([step == steps - 1]),
                [{}],
            )

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> ReplayBufferSamples:
        """Return transitions, their rewards less the running mean of batches' means."""
        batch = super().sample(batch_size, env)
        newest = float(batch.rewards.mean())
        before = newest if self._mean is None else self._mean
        self._mean = before + self._weight * (newest - before)
        return batch._replace(rewards=batch.rewards - self._mean)
