"""TokenView: a BitAllocationEnv whose observations and actions are the same for every network."""

import math
from collections.abc import Sequence
from copy import copy
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from env.bit_allocation import BitAllocationEnv
from env.decisions.budget import Budget
from env.decisions.costs import model_bytes
from env.decisions.decisions import DecisionSpace
from env.evaluating.evaluation import Evaluation
from env.evaluating.reward import RewardConfig
from env.responses.columns import Floats
from env.sensitivity.sensitivities import no_sensitivities
from env.token_observer import WIDTHS, TokenObservation, TokenObserver
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.layers import MAX_BITS


class TokenView(gym.Wrapper[Any, np.int64, Any, np.int64]):
    """Shows tokens, and takes the place of a width among 2 to 8 bits as action."""

    def __init__(self, env: BitAllocationEnv, *, length: int = 0) -> None:
        """Look at an environment; what it observed itself it does no more.

        Args:
            env: Of one network, with one budget.
            length: Tokens, as of `TokenObserver`, where the environment does not have one.
        """
        super().__init__(env)
        if not isinstance(env.observer, TokenObserver):
            env.observer = TokenObserver(env.space, env.table, length=length)
        self.tokens: TokenObserver = env.observer
        env.looks = False  # tokens show none, and nothing is retrained for them
        self.observation_space = self.tokens.space
        self.action_space = spaces.Discrete(len(WIDTHS))
        self._inner = env
        self._place = {bits: WIDTHS.index(bits) for bits in env.space.widths}

    def fork(self) -> "TokenView":
        """Return another view of the same network, which goes on from here by itself."""
        twin = copy(self)
        twin.env = twin._inner = copy(self._inner)
        return twin

    @property
    def network(self) -> BitAllocationEnv:
        """The environment that is looked at."""
        return self._inner

    def show(self, responses: Floats) -> None:
        """Show other losses from the next observation on, as `TokenObserver.show` takes them."""
        self.tokens.show(responses)

    def step(self, action: np.int64) -> tuple[TokenObservation, float, bool, bool, dict[str, Any]]:
        """Fix the next bit-width.

        Raises:
            ActionError: the mask forbids the action, or the episode is over.
        """
        bits, widths = WIDTHS[int(action)], self._inner.space.widths
        index = widths.index(bits) if bits in widths else len(widths)
        found: Any = self._inner.step(np.int64(index))
        return found  # type: ignore[no-any-return]

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Return which actions are legal now, bool `[len(WIDTHS)]`."""
        masks = np.zeros(len(WIDTHS), dtype=np.bool_)
        for legal, bits in zip(self._inner.action_masks(), self._inner.space.widths, strict=True):
            masks[self._place[bits]] = legal
        return masks


class TableEvaluator:
    """Answers with the layer table's times, and with no score at all."""

    def __init__(self, space: DecisionSpace, table: LayerTable) -> None:
        """Keep both."""
        self._space, self._table = space, table

    def evaluate(self, allocations: Sequence[Allocation]) -> list[Evaluation]:
        """Return one Evaluation for each allocation, in order."""
        return [
            Evaluation(
                allocation=allocation,
                index=-1,
                score=0.0,
                score_se=0.0,
                loss=math.nan,
                model_bytes=model_bytes(self._space.layers, allocation),
                predicted_ms=self._table.predict_ms(allocation),
                practice=True,
            )
            for allocation in allocations
        ]


def table_view(
    space: DecisionSpace, table: LayerTable, budget: Budget, *, length: int = 0
) -> TokenView:
    """Return a view of a network that is not here: its layers and their times are enough.

    Args:
        space: What may be decided.
        table: Measured times, or drawn ones.
        budget: Of the episodes.
        length: Tokens, as of `TokenObserver`.

    Raises:
        BudgetError: no allocation meets the budget.
        TaskError: as of `TokenObserver`.
    """
    evaluator = TableEvaluator(space, table)
    env = BitAllocationEnv(
        space=space,
        budget=budget,
        evaluator=evaluator,
        table=table,
        sensitivities=no_sensitivities(space),
        reference=evaluator.evaluate([Allocation.uniform(space.layers, MAX_BITS)])[0],
        reward_config=RewardConfig(speed_worth=0.0),
        observer=TokenObserver(space, table, length=length),
    )
    return TokenView(env)
