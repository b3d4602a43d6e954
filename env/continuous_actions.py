"""ContinuousActions: the environment as HAQ sees it, with one real number for each decision."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from env.bit_allocation import BitAllocationEnv
from env.decisions.budget import Budget
from env.evaluating.evaluation import Evaluation
from env.evaluating.search_evaluator import SearchEvaluator
from env.observation import ObservationVector
from quant.allocation import Allocation

Settle = Callable[[Allocation], Allocation]
"""Brings an allocation into the budget."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Executed:
    """The episode that was evaluated, which is the agent's own with some bits lowered."""

    observations: ObservationVector
    """float32 `[steps + 1, features]`; the last one repeats the one before it."""
    actions: npt.NDArray[np.float32]
    """float32 `[steps, 1]`, 0..1: the agent's own where it was executed, else the middle of what
    was."""


class SettlingEvaluator:
    """Evaluates what an allocation becomes inside the budget, and no allocation twice."""

    def __init__(self, evaluator: SearchEvaluator, settle: Settle) -> None:
        """Keep the parts; what was evaluated already is not evaluated again."""
        self._evaluator, self._settle = evaluator, settle
        self.repeats = 0
        """How many answers in a row were known before."""

    def evaluate(self, allocations: Sequence[Allocation]) -> list[Evaluation]:
        """Return one Evaluation for each allocation, of the settled one."""
        return [self._evaluate(self._settle(allocation)) for allocation in allocations]

    def _evaluate(self, allocation: Allocation) -> Evaluation:
        # Looked up each time: past evaluations of a resumed run may be adopted at any moment.
        for known in self._evaluator.evaluations:
            if known.allocation == allocation:
                self.repeats += 1
                return known
        self.repeats = 0
        return self._evaluator.evaluate([allocation])[0]


class ContinuousActions(gym.Env[ObservationVector, npt.NDArray[np.float32]]):
    """A view of `BitAllocationEnv` without masks, for agents that act in real numbers.

    An action in 0..1 is split evenly between the widths of the decision's menu. Every one of them
    is legal here, so that the evaluator has to settle what the episode ends in; the last step's
    `info["executed"]` is the episode as it was executed, for the agent to learn from.
    Source: Wang et al. 2019, "HAQ" (CVPR), section 3.1, for the action and the rounding.
    """

    def __init__(self, env: BitAllocationEnv, twin: BitAllocationEnv) -> None:
        """Take two environments of one problem: one to act in, one to look episodes up in.

        Args:
            env: Its evaluator must keep the budget; its masks are taken away.
            twin: Never evaluated.
        """
        self.observation_space = env.observation_space
        self.action_space = spaces.Box(0.0, 1.0, (1,), np.float32)
        self._env, self._twin = env, twin
        self.steps = len(env.decisions)
        """Steps of an episode."""
        self._actions: list[float] = []
        for each in (env, twin):
            each.reset(options={"budget": Budget()})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObservationVector, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self._actions = []
        return self._env.reset(seed=seed, options=options)

    def step(
        self, action: npt.NDArray[np.float32]
    ) -> tuple[ObservationVector, float, bool, bool, dict[str, Any]]:
        """Fix the next bit-width; the last step's info says what was executed."""
        share = float(action[0])
        menu = self._env.decisions[len(self._actions)].menu
        self._actions.append(share)
        width = menu[_index(share, menu)]
        observation, reward, ended, cut, info = self._env.step(self._action(width))
        info["executed"] = self._replay(info["evaluation"]) if ended else None
        return observation, reward, ended, cut, info

    def _action(self, width: int) -> np.int64:
        return np.int64(self._env.space.widths.index(width))

    def _replay(self, evaluation: Evaluation) -> Executed:
        """Walk the twin along the bits that were evaluated."""
        space = self._env.space
        observation, _ = self._twin.reset()
        observations, actions = [observation], []
        for own, decision, bits in zip(
            self._actions, space.decisions, space.bits_of(evaluation.allocation), strict=True
        ):
            index, count = decision.menu.index(bits), len(decision.menu)
            same = _index(own, decision.menu) == index
            actions.append(own if same else (index + 0.5) / count)
            if len(actions) < len(space.decisions):
                observation, *_ = self._twin.step(self._action(bits))
            observations.append(observation)
        return Executed(
            observations=np.stack(observations),
            actions=np.array(actions, dtype=np.float32)[:, None],
        )


def _index(share: float, menu: Sequence[int]) -> int:
    return min(int(share * len(menu)), len(menu) - 1)
