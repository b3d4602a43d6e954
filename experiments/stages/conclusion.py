"""Conclusion: from a finished search to the chosen allocation and the rows of the final table."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from agents.search import SearchProblem, SearchResult
from env.decisions.budget import Budget
from env.decisions.decisions import DecisionSpace
from env.evaluating.accounting import TABLE_ROW
from env.evaluating.evaluation import Evaluation
from env.evaluating.ranking import rank
from experiments.record.result_row import ResultRow
from experiments.stages.measured import graph_of, reference_and_uniforms
from experiments.stages.network_setup import NetworkSetup
from experiments.stages.resource_budget import DecidedBudget
from experiments.stages.results_table import float_row, quantized_row
from experiments.stages.selection import Beside, Choice, choose, reconsider
from experiments.stages.side_by_side import time_side_by_side
from hardware.device import Device
from hardware.measuring.measurement import Measurement
from quant.allocation import Allocation
from quant.records.progress import Progress

_REPORTED_BITS = (8, 6, 4)
"""Uniform allocations of the final table, as far as they are among the bit choices."""
BEST_FOUND = "best found"


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusion:
    """What a run reports."""

    choice: Choice
    rows: tuple[ResultRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what the run's document holds, with every repeat of the deciding measurement."""
        best = self.choice.evaluation
        return {
            "rows": self.rows,
            "best": {
                "evaluation": best.index,
                "proposer": best.proposer,
                "allocation": best.allocation,
                "measurement": self.choice.measurement,
            },
            "budget_beside": self.choice.budget,
            "missed_the_budget": [
                {
                    "allocation": item.allocation,
                    "latency_ms": item.latency_ms,
                    "energy_mj": item.energy_mj,
                }
                for item in self.choice.missed
            ],
        }


def uniform_name(bits: int) -> str:
    """Return the name of a uniform allocation in a run's tables."""
    return f"uniform {bits}"


def reported_uniform(space: DecisionSpace) -> dict[int, Allocation]:
    """Return the uniform allocations of a run's tables by bits, all-8 always among them."""
    known = reference_and_uniforms(space)
    return {bits: known[bits] for bits in _REPORTED_BITS if bits in known}


def conclude(
    problem: SearchProblem,
    result: SearchResult,
    setup: NetworkSetup,
    decided: DecidedBudget,
    device: Device,
    progress: Progress,
) -> Conclusion:
    """Evaluate what the table still lacks, choose the best, and time it beside the uniform ones.

    Raises:
        BudgetError: nothing that was evaluated is inside the budget as measured.
        HardwareLostError: the device is gone.
    """
    uniform = reported_uniform(problem.space)
    _evaluate_missing(problem, result, list(uniform.values()))

    evaluated = rank(problem.evaluator.evaluations, problem.reference, problem.reward)
    order: Callable[[Iterable[Evaluation]], list[Evaluation]]
    order = partial(rank, reference=problem.reference, config=problem.reward)
    if result.posterior is not None:
        order = partial(_as_answered, answered=result.candidates)
        evaluated = order(evaluated)
    candidates = [item for item in evaluated if problem.space.admits(item.allocation)]
    latest = {item.allocation: item for item in evaluated}
    known = reference_and_uniforms(problem.space)
    shared = {*decided.latency_shares, *decided.energy_shares}
    beside = [one for bits, one in known.items() if one in latest or bits in shared]
    timed: dict[Allocation, Measurement] = {}

    def measure(allocation: Allocation) -> Beside:
        graphs = {bits: graph_of(setup.network, bits) for bits in [*beside, allocation]}
        timed.update(time_side_by_side(device, graphs, table=problem.table, progress=progress))
        uniform = {bits: timed[one] for bits, one in known.items() if one in timed}
        return Beside(measurement=timed[allocation], budget=decided.beside(uniform))

    choice = choose(candidates, problem.budget, measure)
    choice = reconsider(choice, candidates, timed, order)
    whole = setup.float_search_scores()
    beside_reference = problem.evaluator.beside_reference(whole)
    rows = [float_row(problem.layers, whole.score, beside_reference)]
    rows += [
        _row(uniform_name(bits), latest[allocation], timed[allocation], choice.budget)
        for bits, allocation in uniform.items()
        if allocation in latest
    ]
    rows.append(_row(BEST_FOUND, choice.evaluation, choice.measurement, choice.budget))
    return Conclusion(choice=choice, rows=tuple(rows))


def _as_answered(
    evaluations: Iterable[Evaluation], answered: Sequence[Allocation]
) -> list[Evaluation]:
    """Order by a method's own answer; what it does not name stays behind, as it stands."""
    place = {allocation: number for number, allocation in enumerate(answered)}
    return sorted(evaluations, key=lambda item: place.get(item.allocation, len(place)))


def _row(name: str, evaluation: Evaluation, measurement: Measurement, budget: Budget) -> ResultRow:
    return quantized_row(
        name,
        evaluation.allocation,
        metric=evaluation.metric,
        score=evaluation.score,
        score_se=evaluation.score_se,
        beside_reference=evaluation.beside_reference,
        kept=evaluation.kept,
        model_bytes=evaluation.model_bytes,
        measurement=measurement,
        budget=budget,
    )


def _evaluate_missing(
    problem: SearchProblem, result: SearchResult, reported: Sequence[Allocation]
) -> None:
    """Evaluate the method's own answer, and the table's rows that no search needed.

    They come on top of the evaluation limit: no method learns from them. A uniform allocation that
    is better than everything the search found is reported all the same.
    """
    evaluator = problem.evaluator
    evaluator.adopt_past()
    evaluator.proposer = TABLE_ROW
    for allocation in dict.fromkeys([*result.candidates[:1], *reported]):
        if all(item.allocation != allocation for item in evaluator.evaluations):
            evaluator.evaluate([allocation])
