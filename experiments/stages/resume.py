"""Resumed: what a run that was stopped or killed left in its folder."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from env.evaluating.accounting import counts
from env.evaluating.evaluation import Evaluation
from experiments.errors import ConfigError, RunFolderError, new_run_with
from experiments.record import files
from experiments.record.given import Given
from experiments.record.lines import cut_torn_line
from experiments.record.run_folder import RunFolder
from experiments.record.run_record import RunRecord
from experiments.settings.run_config import RunConfig
from experiments.stages.measured import Measured
from experiments.stages.resource_budget import DecidedBudget
from hardware.layers.table import LayerTable

_MACHINE = ("cpu", "cpu_features", "tvm", "energy")
"""Facts that decide what a program takes, and what it is measured with; a run goes on only where
they are the same."""


OF_A_PROGRAM = "bitalloc.given:"
"""How names begin of networks and data that live as long as the process that gave them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed:
    """What need not be paid for again."""

    evaluations: tuple[Evaluation, ...] = ()
    """Finished evaluations in order, the all-8-bit reference first."""
    measured: Measured | None = None
    """The device's table and the budget; None where the run had not got so far."""

    @property
    def made(self) -> int:
        """How many evaluations count against the limit."""
        return sum(map(counts, self.evaluations))

    def left(self, limit: int) -> int:
        """Return how many evaluations a limit leaves.

        Raises:
            ConfigError: more were made than the limit allows.
        """
        if self.made > limit:
            raise ConfigError(
                f"evaluations: expected at least the {self.made} that are made, found {limit}",
                f"--evaluations {self.made} concludes from those, and a larger number adds to them",
            )
        return limit - self.made


def how_to_go_on(config: RunConfig, folder: Path, program: str) -> str:
    """Return what to type, or to call, after a run was interrupted.

    Args:
        config: The run's.
        folder: Its folder.
        program: What starts runs, as the user typed it.
    """
    if any(name.startswith(OF_A_PROGRAM) for name in (config.task.model, config.task.data)):
        return "go on with: the same call again, which takes what is finished from the store"
    return f"go on with: {program} {shlex.join(['--resume', str(folder)])}"


def read_resumed(folder: Path) -> Resumed:
    """Read a run's folder. A last line that was being written when the run died is cut off.

    Raises:
        RunFolderError: a file is damaged in a way that no killed run leaves behind.
    """
    record = RunRecord(folder)
    limits, table = record.budget, record.table
    if record.left_out:
        raise RunFolderError(
            f"{folder} cannot go on: {record.left_out[0]}",
            new_run_with(folder / files.CONFIG),
        )
    if limits is None:
        return Resumed()
    if table is None:
        raise RunFolderError(
            f"expected {files.TABLE} beside {files.BUDGET} in {folder}, found none",
            "the run cannot go on; " + new_run_with(folder / files.CONFIG),
        )
    decided = DecidedBudget.from_dict(limits)
    evaluations = read_evaluations(folder)
    check_table(
        folder,
        table,
        (
            (name, (bits.weight_bits, bits.activation_bits))
            for item in evaluations
            for name, bits in item.allocation.items
        ),
    )
    return Resumed(evaluations=evaluations, measured=Measured(table=table, decided=decided))


def check_table(
    folder: Path, table: LayerTable, needed: Iterable[tuple[str, tuple[int, int]]]
) -> None:
    """Refuse a table that lacks what a search looks up in it.

    Args:
        folder: Of the run.
        table: As it was read.
        needed: Layers and pairs of bits.

    Raises:
        RunFolderError: names the first that is missing.
    """
    tables = [table.times_us, *([table.energies_uj] if table.has_energies else [])]
    for layer, pair in needed:
        if any(pair not in known.get(layer, {}) for known in tables):
            raise RunFolderError(
                f"expected {layer} at {pair[0]}/{pair[1]} bits in {folder / files.TABLE}, found no "
                "such entry",
                "the run cannot go on; " + new_run_with(folder / files.CONFIG),
            )


def read_evaluations(folder: Path) -> tuple[Evaluation, ...]:
    """Read the finished evaluations of a search, and make the file ready for more.

    Raises:
        RunFolderError: the file is damaged in a way that no killed run leaves behind.
    """
    cut_torn_line(folder / files.EVALUATIONS)
    return RunRecord(folder).evaluations


def check_same_machine(folder: RunFolder, facts: Mapping[str, Any]) -> None:
    """Refuse to mix the times of two machines under one budget.

    Args:
        folder: Of the run, with its `environment.json`.
        facts: Of the device as it is now.

    Raises:
        RunFolderError: the CPU or TVM is another one than the run began with.
    """
    before = folder.record.environment.get("device")
    if before is None:
        raise RunFolderError(
            f"expected what the run was measured on in {folder.path / files.ENVIRONMENT}, found "
            "nothing",
            new_run_with(folder.path / files.CONFIG),
        )
    for name in _MACHINE:
        if before.get(name) != facts.get(name):
            raise RunFolderError(
                f"{folder.path} was measured with {name} {before.get(name)!r}, found "
                f"{facts.get(name)!r} now; one run never mixes two machines",
                new_run_with(folder.path / files.CONFIG),
            )


def check_same_given(folder: RunFolder, now: Given) -> None:
    """Refuse to go on with another network or other images than the evaluations so far are of.

    Raises:
        RunFolderError: names what was changed.
    """
    before = folder.record.given
    if before is not None and (changed := before.changes(now)):
        raise RunFolderError(
            f"{changed} changed since {folder.path} began; one run never mixes two networks or two "
            "sets of images",
            "put the files back as they were, or " + new_run_with(folder.path / files.CONFIG),
        )


def write_measured(folder: RunFolder, measured: Measured) -> None:
    """Write what was measured before the search; the budget last, since it makes the rest count.

    Raises:
        RunFolderError: the disk is full or read-only.
    """
    folder.write_json(files.TABLE, measured.table)
    folder.write_json(files.BUDGET, measured.decided.to_dict())
