"""python -m experiments.allocate: the best bits for a budget at once, of a run or of a network."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich import box
from rich.table import Table

from agents.answer_budget import Predicted, answer_budget, answer_front
from agents.judging.beliefs import Beliefs
from env.decisions.budget import Budget, BudgetConfig
from env.errors import BudgetError
from experiments.errors import ConfigError, RunFolderError
from experiments.record import files
from experiments.record.run_record import RunRecord
from experiments.settings.command_line import Command, run_typed
from experiments.stages.resource_budget import UniformFigures, decide_budget
from experiments.terminal.tables import print_whole
from experiments.zero_shot.network_facts import read_facts
from experiments.zero_shot.onnx_facts import facts_of_onnx
from experiments.zero_shot.unseen import Unseen, believe_unseen
from quant.layers import MAX_BITS, MIN_BITS
from quant.records.json_form import json_text


@dataclass(frozen=True, kw_only=True, slots=True)
class AllocateOptions:
    """Say which bits a network should have inside a budget.

    Nothing is retrained or measured: what a run learnt of its network answers, in milliseconds, or,
    of a network that nobody searched, what the shipped policy knows of others. Every figure is
    predicted. Without a budget, several between the cheapest allocation and all-8.
    """

    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = None
    """Folder of a finished run, such as runs/latest; none with --network."""
    network: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A network that nobody searched: FILE.onnx, or its layers in FILE.json."""
    shape: tuple[int, ...] = ()
    """Sizes of one input of FILE.onnx, such as 3 224 224, where it leaves them free."""
    bit_choices: tuple[int, ...] = tuple(range(MIN_BITS, MAX_BITS + 1))
    """Widths that may be chosen, for --network."""
    like: tuple[Path, ...] = ()
    """Folders of finished runs on the same device, whose layers' times --network goes by."""
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
    return answer(beliefs_from(record), config)


def answer(beliefs: Beliefs, config: BudgetConfig) -> Predicted:
    """Return the same by beliefs of any network, of one that nobody searched too."""
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
    unseen = None if options.network is None else _unseen(options, options.network)
    if unseen is not None:
        beliefs = unseen.beliefs
    elif options.run is not None:
        beliefs = beliefs_from(RunRecord.open(options.run, finished=True))
    else:
        raise ConfigError("expected the folder of a run, or --network FILE, found neither")
    if options.budget == BudgetConfig():
        found = list(answer_front(beliefs))
    else:
        found = [answer(beliefs, options.budget)]
    if options.json:
        print(json_text(found if len(found) > 1 else found[0], indent=1))
        return
    print_whole(_table(beliefs, found))
    if len(found) == 1:
        print(beliefs.space.table(beliefs.space.bits_of(found[0].allocation)))
    if unseen is None:
        print(
            f"predicted by what {beliefs.evaluations} evaluations taught ({beliefs.prior}); "
            "nothing was retrained or measured for it"
        )
    else:
        print(_said_of(unseen))


def _unseen(options: AllocateOptions, file: Path) -> Unseen:
    if options.run is not None:
        raise ConfigError("expected one of RUN and --network, found both")
    facts = facts_of_onnx(file, options.shape) if file.suffix == ".onnx" else read_facts(file)
    searched = [beliefs_from(RunRecord.open(run, finished=True)) for run in options.like]
    return believe_unseen(facts, options.bit_choices, searched=searched)


def _said_of(unseen: Unseen) -> str:
    distance = unseen.distance
    outside = f"; beyond all of them in {', '.join(distance.outside)}" if distance.outside else ""
    return (
        f"predicted by the policy {unseen.policy_version} for a network that nobody searched; "
        f"times are {unseen.times}\n"
        f"it is {distance.deviations:.1f} standard deviations from the networks that the policy "
        f"knows, in {distance.furthest}{outside}"
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
