"""TruthEvaluator: evaluations that are looked up in a table of truth, one retraining's each."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from env.decisions.costs import model_bytes
from env.errors import EvaluationLimitError
from env.evaluating.evaluation import Evaluation
from env.evaluating.search_evaluator import OnEvaluation
from env.evaluating.seen_look import SeenLook
from experiments.truth.row import ALL_8
from experiments.truth.table import SHOWN, TruthTable
from hardware.measuring.measurement import Measurement
from hardware.measuring.protocol import ProtocolConfig
from quant.allocation import Allocation
from quant.layers import MAX_BITS
from quant.objective.metric import ACCURACY
from quant.objective.paired import PairedDifference, paired
from quant.objective.scores import ImageScores

_SOURCE = "table of truth"
_ORDER = 0x726F7773
"""Sets the draws of the rows' order apart from everything that methods draw with the same seed."""


class TruthEvaluator:
    """Shows each allocation's rows in an order of the run's own; no network is touched.

    What a run has seen of an allocation is not part of the truth that it is judged by: see
    `hidden`. What was seen, and how often was asked, is counted here and not in what methods may
    write to (`evaluations`, `proposer`, `held_back`).
    """

    parallel = 1
    repeatable = True

    def __init__(self, table: TruthTable, *, seed: int, limit: int) -> None:
        """Show nothing yet.

        Args:
            table: Where results are looked up.
            seed: Of the run: which rows it sees first.
            limit: Largest number of evaluations.
        """
        self.proposer = ""
        self.held_back = 0
        self.evaluations: list[Evaluation] = []
        self.on_evaluation: list[OnEvaluation] = []
        self._table = table
        self._seed = seed
        self._limit = limit
        self._all_8 = Allocation.uniform(table.header.layers, MAX_BITS)
        self._shown: dict[int, set[int]] = {}
        self._rank = {one: rank for rank, one in enumerate(_seed_order(table, seed))}
        self.used = 0
        """Evaluations but for the reference's first; only to be read."""
        self.again = 0
        """Evaluations that showed a row once more, where no other could be shown."""

    @property
    def remaining(self) -> int:
        """How many evaluations the limit still allows; the reference's first is not counted."""
        return self._limit - max(0, self.held_back) - self.used

    def evaluate(self, allocations: Sequence[Allocation], *, repeat: int = 0) -> list[Evaluation]:
        """Look allocations up, in order; one that was looked up before is the same again.

        A repeat shows the next row. The last one is never shown: the truth needs it, and whoever
        asks for more sees the last but one again.

        Raises:
            EvaluationLimitError: the limit is used up.
        """
        return [self._evaluate(allocation, repeat) for allocation in allocations]

    def begin_episode(self) -> None:
        """Return nothing: no network is retrained while it is decided."""

    def adopt_past(self) -> None:
        """Do nothing: a run on a table is never resumed."""

    def beside_reference(self, scores: ImageScores) -> PairedDifference | None:
        """Return None: networks are not scored here."""
        return None

    def number(self, allocation: Allocation) -> int:
        """Return an allocation's number, `ALL_8` for the reference where the space lacks it."""
        space = self._table.subspace.space
        if allocation == self._all_8:
            return ALL_8
        return self._table.subspace.number(space.bits_of(allocation))

    def order(self, number: int) -> list[int]:
        """Return the positions of an allocation's rows, as this run sees them.

        The same retraining seeds come first for all allocations, as in a run: there all candidates
        see the training images in one order, but for repeats.
        """
        rows = self._table.rows_of[number].tolist()
        return sorted(rows, key=lambda row: self._rank[int(self._table.seed[row])])

    def hidden(self, number: int) -> list[int]:
        """Return the positions of the rows that this run did not see: the truth it is judged by.

        Rows of seeds that it saw of any allocation are left out: allocations that begin alike share
        a part of what one seed adds to them, and who sees one knows something of the other.
        """
        seen = self._shown.get(number, set())
        seeds = {int(self._table.seed[row]) for rows in self._shown.values() for row in rows}
        left = [row for row in self.order(number) if row not in seen]
        return [row for row in left if int(self._table.seed[row]) not in seeds] or left

    def _position(self, number: int, repeat: int) -> int:
        """Return which of an allocation's rows, in the run's order, a repeat shows."""
        return min(repeat, max(0, len(self._table.rows_of[number]) - 2))

    def _evaluate(self, allocation: Allocation, repeat: int) -> Evaluation:
        number = self.number(allocation)
        shown = self._shown.setdefault(number, set())
        if number != ALL_8 or shown:
            if self.remaining <= 0:
                raise EvaluationLimitError(f"all {self._limit} evaluations are used up")
            self.used += 1
        row = self.order(number)[self._position(number, repeat)]
        self.again += row in shown
        shown.add(row)
        evaluation = replace(self._look_up(allocation, row), repeat=repeat)
        self.evaluations.append(evaluation)
        for listener in self.on_evaluation:
            listener(evaluation)
        return evaluation

    def _look_up(self, allocation: Allocation, row: int) -> Evaluation:
        table = self._table
        scores = self._scores(row)
        return Evaluation(
            index=len(self.evaluations),
            proposer=self.proposer,
            metric=scores.metric,
            score=scores.value,
            score_se=scores.standard_error,
            loss=float(table.loss[row]),
            beside_reference=self._beside(row),
            looks=self._looks(row),
            model_bytes=model_bytes(table.header.layers, allocation),
            cached=True,
            allocation=allocation,
            measurement=simulated(table.header.times[0].table.predict_ms(allocation)),
        )

    def _scores(self, row: int) -> ImageScores:
        """Return what a row made of each image that is shown; of losses only all images' mean."""
        hits = torch.from_numpy(self._table.hits(row)[SHOWN])
        return ImageScores(
            metric=ACCURACY,
            value=float(hits.double().mean()),
            each=hits,
            loss=torch.full((len(hits),), float(self._table.loss[row])),
        )

    def _beside(self, row: int) -> PairedDifference:
        """Pair a row with all-8's of the same seed, image by image."""
        found = paired(self._scores(row), self._scores(self._reference(row)))
        return replace(found, loss_se=float(self._table.loss_se[row]))

    def _reference(self, row: int) -> int:
        """Return the position of all-8's row of the same seed."""
        table = self._table
        (found,) = (r for r in table.rows_of[ALL_8] if table.seed[r] == table.seed[row])
        return int(found)

    def _looks(self, row: int) -> tuple[SeenLook, ...]:
        """Return what was seen while this row was retrained, and nothing of other rows.

        Before the first decision a network is all-8, whatever it will be.
        """
        losses = self._table.looks[row]
        beside = losses - self._table.looks[self._reference(row)]
        responses = np.diff(beside, prepend=0.0)
        return tuple(
            SeenLook(
                loss=float(losses[step]),
                change=float(losses[step] - losses[step - 1]) if step else None,
                beside_reference=float(beside[step]),
                response=float(responses[step]),
            )
            for step in range(len(losses))
        )


def _seed_order(table: TruthTable, seed: int) -> list[int]:
    """Return the retraining seeds as a run sees them.

    The first and the last are such as every allocation has; the last is never shown.
    """
    draw = np.random.default_rng((_ORDER, seed))
    of_all = [int(one) for one in draw.permutation(table.seeds_of_all)]
    others = sorted(set(table.seed.tolist()).difference(of_all[:1], of_all[-1:]))
    between = [int(one) for one in draw.permutation(others)]
    return [*of_all[:1], *between, *of_all[1:][-1:]]


def simulated(latency_ms: float) -> Measurement:
    """Return the layer table's time as a measurement that says what it is."""
    return Measurement(
        values_ms=(latency_ms,),
        loops=1,
        protocol=ProtocolConfig(),
        source="simulated",
        device=_SOURCE,
        facts={},
    )
