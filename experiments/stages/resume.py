"""Resumed: what a run that was stopped or killed left in its folder."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from env.decisions.budget import Budget
from env.evaluating.evaluation import Evaluation
from experiments.errors import RunFolderError
from experiments.record.run_folder import RunFolder
from experiments.stages.measured import Measured
from experiments.stages.resource_budget import DecidedBudget
from hardware.layers.table import LayerTable
from quant.sensitivities import SensitivityTable

__all__ = [
    "Resumed",
    "check_same_machine",
    "read_evaluations",
    "read_resumed",
    "write_measured",
]

T = TypeVar("T")

MACHINE = ("cpu", "cpu_features", "tvm", "energy")
"""Facts that decide what a program takes, and what it is measured with; a run goes on only where
they are the same."""

TABLE, SENSITIVITIES, BUDGET = "layer_table.json", "sensitivities.json", "budget.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed:
    """What need not be paid for again."""

    evaluations: tuple[Evaluation, ...] = ()
    """Finished evaluations in order, the all-8-bit reference first."""
    measured: Measured | None = None
    """The device's table, the sensitivities and the budget; None where the run had not got so
    far."""


def read_resumed(folder: Path) -> Resumed:
    """Read a run's folder. A last line that was being written when the run died is cut off.

    Raises:
        RunFolderError: a file is damaged in a way that no killed run leaves behind.
    """
    if not (folder / BUDGET).exists():
        return Resumed()
    measured = Measured(
        table=_read(folder / TABLE, lambda text: LayerTable.from_dict(json.loads(text))),
        sensitivity=_read(
            folder / SENSITIVITIES, lambda text: SensitivityTable.from_dict(json.loads(text))
        ),
        decided=_read(folder / BUDGET, _budget_from),
    )
    return Resumed(evaluations=read_evaluations(folder / "evaluations.jsonl"), measured=measured)


def check_same_machine(folder: RunFolder, facts: Mapping[str, Any]) -> None:
    """Refuse to mix the times of two machines under one budget.

    Args:
        folder: Of the run, with its `environment.json`.
        facts: Of the device as it is now.

    Raises:
        RunFolderError: the CPU or TVM is another one than the run began with.
    """
    before = folder.read_json("environment.json").get("device", {})
    for name in MACHINE:
        if before.get(name) != facts.get(name):
            raise RunFolderError(
                f"{folder.path} was measured with {name} {before.get(name)!r}, found "
                f"{facts.get(name)!r} now; one run never mixes two machines",
                f"start a new run with --config {folder.path / 'config.yaml'}",
            )


def write_measured(folder: RunFolder, measured: Measured) -> None:
    """Write what was measured before the search; the budget last, since it makes the rest count.

    Raises:
        RunFolderError: the disk is full or read-only.
    """
    folder.write_json(TABLE, measured.table.to_dict())
    folder.write_json(SENSITIVITIES, measured.sensitivity.to_dict())
    budget = measured.decided.budget
    folder.write_json(
        BUDGET,
        {**asdict(budget), "reason": measured.decided.reason},
    )


def _budget_from(text: str) -> DecidedBudget:
    document = json.loads(text)
    reason = document.pop("reason")
    return DecidedBudget(budget=Budget(**document), reason=reason)


def read_evaluations(path: Path) -> tuple[Evaluation, ...]:
    """Read finished evaluations, in order; a last line that was being written is cut off.

    Args:
        path: An `evaluations.jsonl`, which need not exist.

    Raises:
        RunFolderError: the file is damaged in a way that no killed run leaves behind.
    """
    if not path.exists():
        return ()
    text = _read(path, str)
    complete = text[: text.rfind("\n") + 1]
    if complete != text:
        # The torn line never counted: its evaluation is made again.
        # Cut, not rewritten: a process killed here must not lose the lines before it.
        os.truncate(path, len(complete.encode()))
    return _read(path, lambda lines: tuple(map(_evaluation_from, lines.splitlines())))


def _evaluation_from(line: str) -> Evaluation:
    return Evaluation.from_dict(json.loads(line))


def _read(path: Path, parse: Callable[[str], T]) -> T:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"expected the record of a run at {path}, found a damaged file ({error!r})",
            f"the run cannot go on; start a new one with --config {path.parent / 'config.yaml'}",
        ) from None
