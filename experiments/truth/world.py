"""TruthWorld: a table of truth as something to search, and what an answer is worth there."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from agents.search import SearchProblem
from env.bit_allocation import BitAllocationEnv
from env.decisions.budget import Budget
from env.evaluating.accounting import Ledger
from env.evaluating.env_config import EnvConfig
from env.sensitivity.stored_sensitivities import StoredSensitivities
from env.tasks.task_config import TaskConfig
from experiments.settings.run_config import RunConfig
from experiments.stages.env_sensitivities import search_split_sensitivity
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.terminal.progress import LiveProgress
from experiments.truth.evaluator import TruthEvaluator
from experiments.truth.subject import DECIDES
from experiments.truth.table import Floats, Integers, TruthTable, read_table
from experiments.truth.weights import weights_beside
from hardware.store import Store
from quant.allocation import Allocation
from quant.layers import MAX_BITS
from quant.records.json_form import from_plain

_SURE = 8
"""Rows from which an allocation's mean is believed when the best is looked for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TruthWorld:
    """One table, with the network that it is of."""

    name: str
    table: TruthTable
    setup: NetworkSetup
    store: Store
    progress: LiveProgress

    def limit_ms(self, share: float) -> float:
        """Return the budget that lies so far on the way from the fastest allocation to all-8."""
        times, space = self.table.header.times[0].table, self.table.subspace.space
        all_8 = Allocation.uniform(space.layers, MAX_BITS)
        fastest_ms = float(self.table.predicted_ms.min())
        return fastest_ms + share * (times.predict_ms(all_8) - fastest_ms)

    @cached_property
    def mean_scores(self) -> Floats:
        """Accuracy of each allocation, the mean of all its rows, `[allocations]`."""
        table = self.table
        return np.array([table.score[table.rows_of[n]].mean() for n in range(len(table.subspace))])

    def inside(self, share: float) -> Integers:
        """Return the numbers of the allocations inside a budget."""
        return np.flatnonzero(self.table.predicted_ms <= self.limit_ms(share))

    def best(self, share: float) -> int:
        """Return the number of the best allocation inside a budget.

        Among those with many rows, where there are such: the best of thousands of means of two is
        mostly lucky.
        """
        inside = self.inside(share)
        sure = [n for n in inside if len(self.table.rows_of[int(n)]) >= _SURE]
        among = np.array(sure if sure else inside)
        return int(among[self.mean_scores[among].argmax()])

    def fastest(self) -> int:
        """Return the number of the fastest allocation."""
        return int(self.table.predicted_ms.argmin())

    def regret(self, share: float, number: int, evaluator: TruthEvaluator) -> float:
        """Return what an answer lacks to the best inside the budget, in points of accuracy.

        Its truth is the mean of the rows that the run did not see; it can be a little better than
        the best one's mean.
        """
        hidden = evaluator.hidden(number) or self.table.rows_of[number]
        found = float(self.table.score[hidden].mean())
        return 100 * float(self.mean_scores[self.best(share)] - found)

    def problem(
        self, share: float, evaluator: TruthEvaluator, *, uniform_first: bool = True
    ) -> SearchProblem:
        """Return what a method gets: the same as in a run, but for who evaluates."""
        setup, table, space = self.setup, self.table.header.times[0].table, self.setup.space
        budget, ledger = Budget(latency_ms=self.limit_ms(share)), Ledger()
        evaluator.proposer = "reference"
        reference = evaluator.evaluate([Allocation.uniform(space.layers, MAX_BITS)])[0]

        def make_env() -> BitAllocationEnv:
            return BitAllocationEnv(
                space=space,
                budget=budget,
                evaluator=evaluator,
                table=table,
                sensitivities=search_split_sensitivity(setup, self.store, self.progress).rises,
                reference=reference,
                reward_config=setup.config.reward,
            )

        return SearchProblem(
            space=space,
            budget=budget,
            evaluator=evaluator,
            table=table,
            reference=reference,
            make_env=make_env,
            prepare=setup.network.clone,
            retrainer=setup.retrainer,
            sensitivities=StoredSensitivities(
                setup.network,
                setup.task.train,
                setup.config.env.sensitivity,
                self.store,
                ledger,
                loss=setup.task.objective.loss,
            ),
            ledger=ledger,
            train=setup.task.train,
            search=setup.task.search,
            objective=setup.task.objective,
            reward=setup.config.reward,
            uniform_first=uniform_first,
        )


def open_world(path: Path, base: RunConfig, store: Store, progress: LiveProgress) -> TruthWorld:
    """Read a table, and set up the network whose weights lie beside it.

    Args:
        path: Of the table.
        base: Settings of the methods and of the reward.
        store: Where estimates of sensitivities are kept.
        progress: Shows what takes long.

    Raises:
        DataError: table or weights are missing or damaged.
    """
    table = read_table(path)
    table.check()
    subject = table.header.subject
    task = replace(from_plain(TaskConfig, subject.task), weights=str(weights_beside(path)))
    decided = from_plain(EnvConfig, subject.env)
    env = replace(base.env, **{name: getattr(decided, name) for name in DECIDES})
    config = replace(base, task=task, env=env, seed=subject.run_seed)
    return TruthWorld(
        name=path.stem,
        table=table,
        setup=set_up_network(config, progress),
        store=store,
        progress=progress,
    )
