"""Practice: once it was cloned, the policy learns on by PPO, from what its own choices lose."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.ppo.token_policy import TokenPolicy
from env.token_observer import TokenObservation
from tools.train_policy.lesson_env import env_of
from tools.train_policy.lessons import Lesson

_ENVIRONMENTS = 8
_STEPS = 512
"""Steps of each environment between two updates."""
_WORST = -3.0
"""An episode's return is at least that: a network ruined twice as badly teaches nothing more."""


class LessonsEnv(gym.Env[TokenObservation, np.int64]):
    """Each episode is another lesson; what is returned is minus ln(loss / least loss)."""

    def __init__(self, lessons: Sequence[Lesson], *, length: int) -> None:
        """Keep lessons of at most `length` decisions."""
        super().__init__()
        self._lessons, self._length = lessons, length
        self._lesson, self._view = lessons[0], env_of(lessons[0], length=length)
        self.observation_space = self._view.observation_space
        self.action_space = self._view.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[TokenObservation, dict[str, Any]]:
        """Begin an episode in a lesson drawn anew."""
        super().reset(seed=seed)
        self._lesson = self._lessons[int(self.np_random.integers(len(self._lessons)))]
        self._view = env_of(self._lesson, length=self._length)
        return self._view.reset()

    def step(self, action: np.int64) -> tuple[TokenObservation, float, bool, bool, dict[str, Any]]:
        """Fix the next bit-width; the end alone is rewarded."""
        seen, _, over, _, info = self._view.step(action)
        if not over:
            return seen, 0.0, False, False, {}
        lesson = self._lesson
        lost, least = (
            lesson.loss(allocation) + lesson.floor
            for allocation in (info["evaluation"].allocation, lesson.best)
        )
        return seen, max(_WORST, -math.log(lost / least)), True, False, {}

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Return which actions are legal now, bool `[len(WIDTHS)]`."""
        return self._view.action_masks()


def practise(
    policy: TokenPolicy,
    lessons: Sequence[Lesson],
    *,
    steps: int,
    learning_rate: float,
    seed: int,
    say: Callable[[str], None],
) -> None:
    """Train a policy by PPO, from where it is.

    Args:
        policy: Cloned before; it is changed.
        lessons: Drawn networks, at most as long as memory allows: all are padded to the longest.
        steps: Decisions in all.
        learning_rate: At the beginning; falls linearly to nothing.
        seed: Orders lessons and actions.
        say: Gets a line for each update.
    """
    length = max(len(lesson.space.decisions) for lesson in lessons)
    envs = DummyVecEnv([lambda: LessonsEnv(lessons, length=length) for _ in range(_ENVIRONMENTS)])
    model = MaskablePPO(
        TokenPolicy,
        envs,
        n_steps=_STEPS,
        batch_size=_STEPS,
        n_epochs=3,
        learning_rate=lambda left: learning_rate * left,
        gamma=1.0,
        gae_lambda=0.98,
        clip_range=0.1,
        ent_coef=0.0,
        target_kl=0.02,
        seed=seed,
        device="cpu",
    )
    model.policy.load_state_dict(policy.state_dict())
    model.learn(steps, callback=_Told(say))
    policy.load_state_dict(model.policy.state_dict())


class _Told(BaseCallback):
    """Says what the episodes of each rollout returned in the mean."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say
        self._returns: list[float] = []

    def _on_step(self) -> bool:
        for reward, over in zip(self.locals["rewards"], self.locals["dones"], strict=True):
            if over:
                self._returns.append(float(reward))
        return True

    def _on_rollout_end(self) -> None:
        mean = float(np.mean(self._returns)) if self._returns else math.nan
        self._say(f"{self.num_timesteps} steps: mean return {mean:.4f}")
        self._returns.clear()
