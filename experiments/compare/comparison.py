"""Comparison: all finished rows, and what they come to for each method."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import model_serializer

from experiments.compare.hypervolume import HypervolumeEstimate, estimate_hypervolume
from experiments.compare.plan import Plan
from experiments.compare.rows import Answer, Row, UniformRow
from quant.objective.metric import ACCURACY, Metric
from quant.records.json_form import to_plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Mean and standard deviation over the seeds; the deviation of one seed is 0."""

    mean: float
    deviation: float
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PairOfMethods:
    """Answers of two methods to one budget, on the same test images, over the seeds of both."""

    method: str
    than: str
    budget: float
    gain: float
    """Mean difference of their scores, turned so that above zero `method` is better."""
    gain_se: float | None
    """Mean of the paired standard errors: all seeds have the same images, and narrow none of them.
    None where a score has none."""
    seeds: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What a comparison found."""

    plan: Plan
    task: str
    machine: Mapping[str, Any]
    command: str
    commit: Mapping[str, Any]
    """`commit` and `dirty`, of the code that began it."""
    source: str
    """Whether latencies are measured, emulated or simulated."""
    rows: tuple[Row, ...]
    uniform: tuple[UniformRow, ...]
    chance: float
    """Quality of guessing; of an accuracy itself."""
    test_images: int
    settings: Mapping[str, Any]
    """What decides the figures beside the plan: retraining, bit choices, protocol."""

    def answers(self, method: str, budget: float) -> tuple[Answer, ...]:
        """Return a method's answers to one budget, one for each seed that has one."""
        return tuple(
            row.answer
            for row in self.rows
            if row.method == method and row.budget == budget and row.answer is not None
        )

    @property
    def all_8_ms(self) -> float:
        """Latency of all-8: the median of its timings, of which every answer has one beside it.

        The median and not each answer's own: a machine may be slow for some seconds and seem stable
        (docs/limits.md), and beside a slow all-8 any answer would look fast.
        """
        found = [row.answer.all_8_ms for row in self.rows if row.answer is not None]
        return statistics.median([*found, *(row.answer.all_8_ms for row in self.uniform)])

    @property
    def metric(self) -> Metric:
        """What the scores are."""
        answers = [row.answer for row in self.uniform] + [row.answer for row in self.rows]
        return next((answer.metric for answer in answers if answer is not None), ACCURACY)

    def score(self, method: str, budget: float) -> Spread | None:
        """Return the test score over the seeds, None where no seed has an answer."""
        return spread([answer.test_score for answer in self.answers(method, budget)])

    def ratio(self, method: str, budget: float) -> Spread | None:
        """Return the latency as a share of all-8's over the seeds."""
        return self.ratios(self.answers(method, budget))

    def ratios(self, answers: Sequence[Answer]) -> Spread | None:
        """Return the latencies of some answers as shares of all-8's."""
        all_8_ms = self.all_8_ms  # the median of every row, so only once
        return spread([answer.latency_ms / all_8_ms for answer in answers])

    def uniform_answers(self, bits: int) -> tuple[Answer, ...]:
        """Return a uniform allocation's answers, one for each seed."""
        return tuple(row.answer for row in self.uniform if row.bits == bits)

    def pairs(self) -> tuple[PairOfMethods, ...]:
        """Return every two methods at every budget, the one that comes later in the plan first."""
        found = []
        for budget in self.plan.budgets:
            for number, method in enumerate(self.methods):
                pairs = (self.pair(method, than, budget) for than in self.methods[:number])
                found += [pair for pair in pairs if pair is not None]
        return tuple(found)

    def pair(self, method: str, than: str, budget: float) -> PairOfMethods | None:
        """Return how two methods' answers differ; None where no seed has both, or knows it."""
        both = [
            (1.0 if row.method == method else -1.0, row.beside[other])
            for row in self.rows
            for other in row.beside
            if row.budget == budget and {row.method, other} == {method, than}
        ]
        if not both:
            return None
        factor = 1.0 if self.metric.more_is_better else -1.0
        errors = [difference.score_se for _, difference in both]
        known = [error for error in errors if error is not None]
        return PairOfMethods(
            method=method,
            than=than,
            budget=budget,
            gain=statistics.fmean(factor * sign * one.score for sign, one in both),
            gain_se=statistics.fmean(known) if len(known) == len(both) else None,
            seeds=len(both),
        )

    def hypervolume(self, method: str) -> HypervolumeEstimate | None:
        """Return a method's hypervolume, None before it has finished a job."""
        rows = [row for row in self.rows if row.method == method]
        if not rows:
            return None
        return estimate_hypervolume(rows, self.all_8_ms, self.chance)

    def cost(self, method: str) -> dict[str, float]:
        """Return the means over a method's jobs of what a search used."""
        rows = [row for row in self.rows if row.method == method]
        names = ("evaluations", "training_samples", "device_s", "wall_s")
        return {name: statistics.fmean(getattr(row, name) for row in rows) for name in names}

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that have finished a job, in the plan's order."""
        finished = {row.method for row in self.rows}
        return tuple(method for method in self.plan.methods if method in finished)

    @model_serializer
    def _document(self) -> dict[str, Any]:
        hypervolumes = {method: self.hypervolume(method) for method in self.methods}
        document = {
            "machine": self.machine,
            "command": self.command,
            "commit": self.commit,
            "source": self.source,
            "task": self.task,
            "plan": self.plan,
            "settings": self.settings,
            "axes": {
                "score": f"test {self.metric.name}, reference point: guessing",
                "latency": "latency / all_8_ms, reference point: 1",
            },
            "all_8_ms": self.all_8_ms,
            "chance": self.chance,
            "test_images": self.test_images,
            "hypervolume": {name: value for name, value in hypervolumes.items() if value},
            "pairs": self.pairs(),
            "cost": {method: self.cost(method) for method in self.methods},
            "uniform": self.uniform,
            "rows": self.rows,
        }
        return {key: to_plain(value) for key, value in document.items()}


def spread(values: list[float]) -> Spread | None:
    """Return mean and standard deviation, None of nothing."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return Spread(mean=statistics.fmean(values), deviation=deviation, count=len(values))
