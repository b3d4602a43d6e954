"""python -m experiments.allocate: the best bits for a budget at once, of a run or of a network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from agents.answer_budget import answer_front
from env.decisions.budget import BudgetConfig
from experiments.allocate.answer import Answer, answer, beliefs_from, say
from experiments.allocate.shown import show
from experiments.errors import ConfigError
from experiments.record.run_record import RunRecord
from experiments.settings.command_line import Command, run_typed
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
    return Command(options=AllocateOptions, work=answer_here)


def answer_here(options: AllocateOptions) -> None:
    """Answer on this machine, and print it.

    Raises:
        BitAllocError: there is no run or network, or no allocation inside the budget.
    """
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
    tell([say(one, beliefs, unseen) for one in found], json=options.json)


def tell(answers: Sequence[Answer], *, json: bool) -> None:
    """Print answers as a table, or as JSON: one, or a list of several."""
    if json:
        print(json_text(answers if len(answers) > 1 else answers[0], indent=1))
    else:
        show(answers)


def _unseen(options: AllocateOptions, file: Path) -> Unseen:
    if options.run is not None:
        raise ConfigError("expected one of RUN and --network, found both")
    facts = facts_of_onnx(file, options.shape) if file.suffix == ".onnx" else read_facts(file)
    searched = [beliefs_from(RunRecord.open(run, finished=True)) for run in options.like]
    return believe_unseen(facts, options.bit_choices, searched=searched)
