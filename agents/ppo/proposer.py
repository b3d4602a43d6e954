"""TokenProposer: a policy that was trained before, shown one world after another."""

from collections.abc import Collection, Sequence

import numpy as np

from agents.ppo.config import PPOConfig
from agents.ppo.token_play import propose_tokens
from agents.ppo.token_weights import token_policy_of
from agents.search import SearchProblem
from env.practice.scales import measured_over_predicted
from env.responses.columns import Floats
from env.responses.table_losses import table_losses
from env.token_view import table_view
from quant.allocation import Allocation


class TokenProposer:
    """Proposes allocations of one problem in whatever world it is shown."""

    def __init__(self, problem: SearchProblem, config: PPOConfig, *, seed: int) -> None:
        """Read the weights.

        Raises:
            TaskError: the weights are missing, or a width is decided that tokens do not tell of.
        """
        self._problem, self._samples, self._seed = problem, config.policy_samples, seed
        self._view = table_view(problem.space, problem.table, problem.budget)
        self._policy = token_policy_of(config.policy)

    def propose(self, table: Floats, without: Collection[Allocation] = ()) -> Allocation | None:
        """Return what loses least in a world of all that the policy chooses and draws there.

        No solver and no enumeration stands between the policy and what it proposes.

        Args:
            table: Quality lost of each decision at each of the space's widths.
            without: What is not proposed.
        """
        count = len(self._problem.evaluator.evaluations)
        proposed = self._play(table, self._samples, [count, len(without)])
        fresh = [one for one in proposed if one not in without]
        if not fresh:
            return None
        return fresh[int(table_losses(self._problem.space, table, fresh).argmin())]

    def draw(self, table: Floats, samples: int, number: int) -> list[Allocation]:
        """Return the policy's choice in a world and what it draws there, each once.

        Args:
            table: As for `propose`.
            samples: How many it draws.
            number: Equal ones draw equally.
        """
        return self._play(table, samples, [number])

    def _play(self, table: Floats, samples: int, numbers: Sequence[int]) -> list[Allocation]:
        evaluations = self._problem.evaluator.evaluations
        self._view.show(table)
        self._view.network.correct(measured_over_predicted(evaluations, self._problem.table))
        rng = np.random.default_rng([self._seed, *numbers])
        return propose_tokens(self._policy, self._view, samples, rng)
