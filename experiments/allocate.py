"""python -m experiments.allocate RUN: the best bits for other budgets, from what a run learnt."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.table import Table

from agents.answer_budget import Predicted, answer_budget, answer_front
from agents.judging.beliefs import Beliefs
from env.decisions.budget import Budget, BudgetConfig
from env.errors import BudgetError
from experiments.errors import RunFolderError
from experiments.record import files
from experiments.record.run_record import RunRecord
from experiments.settings.command_line import Command, RunPath, run_typed
from experiments.stages.resource_budget import UniformFigures, decide_budget
from experiments.terminal.tables import print_whole
from quant.layers import MAX_BITS
from quant.records.json_form import json_text


@dataclass(frozen=True, kw_only=True, slots=True)
class AllocateOptions:
    """Say which bits a network should have inside another budget than its run's.

    Nothing is retrained or measured: what a run learnt of its network answers, in milliseconds, and
    every figure is predicted. Without a budget, several between the cheapest allocation and all-8.
    """

    run: RunPath
    """Folder of a finished run, such as runs/latest."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    """What the allocation may use; ratios are of what all-8 is predicted to take."""
    json: bool = False
    """Print JSON and no table."""


def main(arguments: Sequence[str]) -> int:
    """Answer, and return the exit code."""
    return run_typed("experiments.allocate", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return Command(options=AllocateOptions, work=_command)


def allocate(record: RunRecord, config: BudgetConfig) -> Predicted:
    """Return the best allocation inside a budget, as a run's own model predicts it.

    Args:
        record: Of a finished run whose answer was a model's.
        config: At least one limit of it is set, and no accuracy.

    Raises:
        RunFolderError: the run has no model.
        BudgetError: no allocation is inside.
    """
    beliefs = beliefs_from(record)
    return answer_budget(beliefs, _budget(beliefs, config))


def beliefs_from(record: RunRecord) -> Beliefs:
    """Return what a run believes.

    Raises:
        RunFolderError: it has no model, as the scores alone said what was best.
    """
    if record.beliefs is None:
        raise RunFolderError(
            f"{record.path}: expected a run whose answer is a model's, found no {files.BELIEFS}",
            "runs of ppo, of bayes and of any method with --METHOD.posterior write it",
        )
    return record.beliefs


def _budget(beliefs: Beliefs, config: BudgetConfig) -> Budget:
    if config.accuracy_drop is not None:
        raise BudgetError(
            "budget.accuracy_drop: expected a limit of time, bytes or energy, found one of score",
            "without a budget, the front shows what each time would lose",
        )
    if config == BudgetConfig():
        raise BudgetError("expected a limit of time, bytes or energy, found none")
    all_8 = beliefs.all_8
    if config.energy_key and beliefs.energy_mj(all_8) is None:
        raise BudgetError(f"{config.energy_key}: the run had no energy meter")
    figures = UniformFigures(
        latency_ms=beliefs.latency_ms(all_8),
        model_bytes=beliefs.model_bytes(all_8),
        energy_mj=beliefs.energy_mj(all_8),
    )
    return decide_budget(config, {MAX_BITS: figures}, beliefs.metric).budget


def _command(options: AllocateOptions) -> None:
    record = RunRecord.open(options.run, finished=True)
    beliefs = beliefs_from(record)
    if options.budget == BudgetConfig():
        found = list(answer_front(beliefs))
    else:
        found = [allocate(record, options.budget)]
    if options.json:
        print(json_text(found if len(found) > 1 else found[0], indent=1))
        return
    print_whole(_table(beliefs, found))
    if len(found) == 1:
        print(beliefs.space.table(beliefs.space.bits_of(found[0].allocation)))
    print(
        f"predicted by what {beliefs.evaluations} evaluations taught ({beliefs.prior}); nothing "
        "was retrained or measured for it"
    )


def _table(beliefs: Beliefs, found: Sequence[Predicted]) -> Table:
    metric = beliefs.metric
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("budget", f"predicted {metric.heading}", "predicted ms", "bytes", "bits"):
        table.add_column(heading, justify="left" if heading in ("budget", "bits") else "right")
    for one in found:
        table.add_row(
            str(one.budget),
            metric.number(one.score),
            f"{one.latency_ms:.4g}",
            str(one.model_bytes),
            " ".join(map(str, beliefs.space.bits_of(one.allocation))),
        )
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
