"""TruthWorld: a table of truth as something to search, and what an answer is worth there."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from agents.search import SearchProblem
from env.bit_allocation import BitAllocationEnv
from env.decisions.budget import Budget
from env.evaluating.accounting import Ledger
from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluation import Evaluation
from env.evaluating.reward import reward
from env.responses.shipped import prior_without
from env.sensitivity.stored_sensitivities import StoredSensitivities
from env.tasks.task import Split
from env.tasks.task_config import TaskConfig
from experiments.settings.run_config import RunConfig
from experiments.stages.env_sensitivities import search_split_sensitivity
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.terminal.progress import LiveProgress
from experiments.truth.evaluator import TruthEvaluator, simulated
from experiments.truth.row import ALL_8
from experiments.truth.subject import DECIDES, TruthSubject, subject_of
from experiments.truth.table import FINALISTS, SURE, Floats, Integers, TruthTable, read_table
from experiments.truth.weights import weights_beside
from hardware.store import Store
from quant.allocation import Allocation
from quant.errors import DataError
from quant.layers import MAX_BITS
from quant.records.json_form import from_plain

_logger = logging.getLogger(__name__)

Measure = Literal["accuracy", "log_loss", "reward"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
"""What answers are judged by: points of accuracy, minus the logarithm of the loss, the reward."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TruthWorld:
    """One table, with the network that it is of."""

    name: str
    table: TruthTable
    setup: NetworkSetup
    store: Store
    progress: LiveProgress

    @cached_property
    def worth(self) -> dict[Measure, Floats]:
        """What each allocation is worth in the mean of all its rows, `[allocations]` each."""
        rows = [self.table.rows_of[number] for number in range(len(self.table.subspace))]
        found = [self._worth_of(number, of) for number, of in enumerate(rows)]
        return {measure: np.array([each[measure] for each in found]) for measure in MEASURES}

    def best(self, share: float, measure: Measure = "accuracy") -> int:
        """Return the number of the best allocation inside a budget.

        Among those with many rows, where the budget was refined: the best of thousands of means of
        two is mostly lucky.
        """
        found = self._best.get((share, measure))
        if found is None:
            among = self.candidates(share)
            found = int(among[self.worth[measure][among].argmax()])
            self._best[share, measure] = found
        return found

    @cached_property
    def _best(self) -> dict[tuple[float, Measure], int]:
        return {}

    def candidates(self, share: float) -> Integers:
        """Return among which allocations the best of a budget is looked for."""
        inside = self.table.inside(share)
        if not self.refined(share):
            return inside
        return np.array([n for n in inside if len(self.table.rows_of[int(n)]) >= SURE])

    def refined(self, share: float) -> bool:
        """Return whether the best of a budget have many rows, and not only those of others.

        Half of those that `--refine` retrains: the more rows the best have the lower they come, and
        the next ones, with their two lucky rows, come up at the end of its list.
        """
        inside = self.table.inside(share)
        ordered = inside[np.argsort(-self.table.mean_scores[inside], kind="stable")]
        first = ordered[: FINALISTS // 2]
        return all(len(self.table.rows_of[int(number)]) >= SURE for number in first)

    def fastest(self) -> int:
        """Return the number of the fastest allocation."""
        return int(self.table.predicted_ms.argmin())

    def regret(self, share: float, number: int, evaluator: TruthEvaluator) -> dict[Measure, float]:
        """Return what an answer lacks to the best inside the budget, by each measure.

        The truth of both is the mean of the rows that the run did not see: the best itself lacks
        nothing, and another one can be a little better by chance.
        """

        def worth(one: int) -> dict[Measure, float]:
            return self._worth_of(one, evaluator.hidden(one) or self.table.rows_of[one])

        found = worth(number)
        return {
            measure: worth(self.best(share, measure))[measure] - found[measure]
            for measure in MEASURES
        }

    def error(self, number: int) -> dict[Measure, float]:
        """Return the standard error of an allocation's worth: how well its few rows know it."""
        count = len(self.table.rows_of[number])
        return {measure: noise / math.sqrt(count) for measure, noise in self._noise.items()}

    @cached_property
    def _noise(self) -> dict[Measure, float]:
        """Standard deviation between the rows of one allocation, pooled, by each measure."""
        squares, more = dict.fromkeys(MEASURES, 0.0), 0
        for number in range(len(self.table.subspace)):
            rows = self.table.rows_of[number].tolist()
            each = [self._worth_of(number, [row]) for row in rows]
            for measure in MEASURES:
                values = np.array([one[measure] for one in each])
                squares[measure] += float(((values - values.mean()) ** 2).sum())
            more += len(rows) - 1
        return {measure: math.sqrt(total / max(1, more)) for measure, total in squares.items()}

    def _worth_of(self, number: int, rows: Sequence[int] | Integers) -> dict[Measure, float]:
        """Return what rows of an allocation are worth; more is better in each measure.

        Accuracy is that on images which no evaluation shows; losses are those of all images.
        """
        score = float(self.table.judged[rows].mean())
        reference = self._reference
        candidate = replace(
            reference,
            score=score,
            measurement=simulated(float(self.table.predicted_ms[number])),
        )
        return {
            "accuracy": 100 * score,
            "log_loss": -float(np.log(self.table.loss[rows]).mean()),
            "reward": reward(candidate, reference, self.setup.config.reward)[0],
        }

    @cached_property
    def _reference(self) -> Evaluation:
        """All-8 with the mean of its accuracies: what rewards are paid beside."""
        all_8 = Allocation.uniform(self.table.subspace.space.layers, MAX_BITS)
        shown = TruthEvaluator(self.table, seed=0, limit=1).evaluate([all_8])[0]
        return replace(shown, score=float(self.table.judged[self.table.rows_of[ALL_8]].mean()))

    @cached_property
    def _unjudged(self) -> NetworkSetup:
        """The network with images to score on that rows are not scored on: the test split."""
        task = self.setup.task
        return replace(self.setup, task=replace(task, search=task.test))

    def problem(
        self, share: float, evaluator: TruthEvaluator, *, uniform_first: bool = True
    ) -> SearchProblem:
        """Return what a method gets: the same as in a run, but for who evaluates.

        What it scores by itself, as its search split and in what environments show, are images that
        no row is scored on: it would else look at its own truth beside its evaluations.
        """
        setup, table, space = self._unjudged, self.table.header.times[0].table, self.setup.space
        budget, ledger = Budget(latency_ms=self.table.limit_ms(share)), Ledger()
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
            prior=prior_without(setup.config.task.name),
            say=_logger.info,  # a contest is thousands of searches
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
        DataError: table or weights are missing or damaged, or not of the same network and images.
    """
    table = read_table(path)
    table.check()
    subject = table.header.subject
    task = replace(from_plain(TaskConfig, subject.task), weights=str(weights_beside(path)))
    decided = from_plain(EnvConfig, subject.env)
    env = replace(base.env, **{name: getattr(decided, name) for name in DECIDES})
    config = replace(base, task=task, env=env, seed=subject.run_seed)
    setup = set_up_network(config, progress)
    _check_network(path, setup, subject)
    return TruthWorld(name=path.stem, table=table, setup=setup, store=store, progress=progress)


def _check_network(path: Path, setup: NetworkSetup, subject: TruthSubject) -> None:
    """Refuse another network or other images than the rows are of: methods look at both.

    Raises:
        DataError: names what differs.
    """
    search = setup.task.search
    scored = Split(images=search.images[: subject.images], labels=search.labels[: subject.images])
    found = subject_of(setup, scored)
    for name in ("network", "data", "images", "decisions", "menus"):
        if getattr(found, name) != getattr(subject, name):
            raise DataError(
                f"expected beside {path} what its rows were made of, found another {name}",
                f"put the table's own weights at {weights_beside(path)}",
            )
