"""python -m experiments.tabulate: a table of truth, every allocation really retrained."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import torch
import tyro

from env.tasks.task import Split
from experiments.cluster.ray_extra import check_named
from experiments.errors import ConfigError, RunFolderError
from experiments.settings.command_line import Command, run_typed
from experiments.settings.configured import ConfiguredOptions, configured_command
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.tabulate.pack import pack
from experiments.tabulate.refinement import refined_seeds
from experiments.tabulate.tabulator import piece_size, walk_together
from experiments.tabulate.walk import Subject, walk
from experiments.terminal.progress import LiveProgress
from experiments.truth.row import ALL_8, TruthRow
from experiments.truth.row_file import RowFile, check_subject
from experiments.truth.subject import source_here, subject_of
from experiments.truth.subspace import Subspace
from experiments.truth.table import read_shards, read_table
from experiments.truth.weights import with_weights_beside, write_weights_beside
from hardware.measuring.host_facts import standing_facts

_PART = re.compile(r"([1-9]\d*)/([1-9]\d*)")

_Wanted = Sequence[tuple[int, list[int]]]
"""Seeds, with the numbers of allocations."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TabulateOptions(ConfiguredOptions):
    """Retrain and score every allocation of the configured space, once for each seed.

    Each row is kept when it is finished; the same command goes on where it was stopped. The float
    network's weights are written beside the rows: a copy of them beside another machine's file
    makes its rows a shard of these. With `--train.ray` the machines of a cluster retrain. With
    `--table` nothing is retrained: times are measured, and what the files hold becomes one table.
    """

    rows: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE.jsonl")] = (Path("truth.jsonl"),)
    """File that rows are added to; for `--table` all files of them, and tables that hold some."""
    table: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npz")] = None
    """Table of truth to write; the float network's weights go beside it. Times of one that is there
    already are kept: budgets are made of them."""
    seeds: tuple[int, ...] = (0,)
    """Numbers of the retrainings: what orders the images."""
    refine: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npz")] = None
    """A table of these rows, which says what needs more seeds: 3 of the allocations within 3 points
    of the best inside budgets of 5, 15 and 30 %, 8 of the best 30 inside each. In place of
    --seeds."""
    part: str = "1/1"
    """Which part of the allocations, as 1/2 and 2/2 for two processes with a file each."""
    images: int = 0
    """Images of the search split that rows are scored on, the first ones; 0 for all."""

    def __post_init__(self) -> None:
        """Refuse parts and counts that are none."""
        matched = _PART.fullmatch(self.part)
        if matched is None or int(matched[1]) > int(matched[2]):
            raise ConfigError(f"--part: expected N/M as 1/2 or 2/2, found {self.part!r}")
        if self.images < 0 or min(self.seeds, default=-1) < 0:
            raise ConfigError("--images and --seeds: expected 0 or more, found less")
        if len(self.rows) != 1 and self.table is None:
            raise ConfigError(f"--rows: expected one file to add to, found {len(self.rows)}")
        for file in (*self.rows, *([self.table] if self.table else [])):
            if not file.parent.is_dir():
                raise RunFolderError(f"cannot write {file}: there is no folder {file.parent}")


def main(arguments: Sequence[str]) -> int:
    """Tabulate and return the exit code."""
    return run_typed("experiments.tabulate", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return configured_command(TabulateOptions, _command)


def _command(options: TabulateOptions) -> None:
    if options.table is None:
        check_named(options.config.train.ray)
    with LiveProgress(quiet=options.config.quiet) as progress:
        first = options.rows[0]
        setup = set_up_network(with_weights_beside(options.config, first), progress)
        if options.table is not None:
            _pack(options, setup, options.table, progress)
        else:
            _retrain(options, setup, progress)


def _pack(
    options: TabulateOptions, setup: NetworkSetup, path: Path, progress: LiveProgress
) -> None:
    rows = read_shards(options.rows)
    search = _scored(setup, rows.subject.images)
    check_subject(rows.subject, subject_of(setup, search), "--rows")
    table = pack(setup, rows, path, progress)
    print(f"{len(table.number)} rows of {len(table.subspace)} allocations are in {path}")


def _retrain(options: TabulateOptions, setup: NetworkSetup, progress: LiveProgress) -> None:
    search, subspace, (path,) = (
        _scored(setup, options.images),
        Subspace(space=setup.space),
        options.rows,
    )
    elsewhere = bool(setup.config.train.ray)
    here = None if elsewhere else source_here(standing_facts()["cpu"], version("torch"))
    file = RowFile(path, subject_of(setup, search), here)
    write_weights_beside(setup.module, path)
    known, mine = set(file.rows.rows), part_of(subspace, options.part)
    wanted = [(seed, mine) for seed in options.seeds]
    if options.refine is not None:
        table = read_table(options.refine)
        check_subject(table.header.subject, file.rows.subject, "--refine")
        known |= set(zip(table.number.tolist(), table.seed.tolist(), strict=True))
        wanted = [(seed, sorted(set(mine).intersection(of))) for seed, of in refined_seeds(table)]
    total = sum(len(of) for _, of in wanted)
    done = sum((number, seed) in known for seed, of in wanted for number in of)
    missing = [(seed, [n for n in of if (n, seed) not in known]) for seed, of in wanted]
    missing = [(seed, of) for seed, of in missing if of]
    rows = _together if elsewhere else _alone
    for row in rows(setup, search, subspace, missing, file) if missing else ():
        if (row.number, row.seed) not in known:
            file.add(row)
            known.add((row.number, row.seed))
        done += row.number != ALL_8
        progress.stage("rows", done, total, f"seed {row.seed}")
    print(f"{done} of {total} rows are in {path}")


def _alone(
    setup: NetworkSetup, search: Split, subspace: Subspace, wanted: _Wanted, file: RowFile
) -> Iterator[TruthRow]:
    subject = Subject(
        subspace=subspace,
        basis=setup.retrainer(setup.config.env.finetune).basis,
        search=search,
        objective=setup.task.objective,
        run_seed=setup.config.seed,
    )
    for seed, numbers in wanted:
        yield from walk(subject, numbers, seed)


def _together(
    setup: NetworkSetup, search: Split, subspace: Subspace, wanted: _Wanted, file: RowFile
) -> Iterator[TruthRow]:
    for source, rows in walk_together(setup, search, subspace, wanted):
        file.note(source)
        yield from rows


def part_of(subspace: Subspace, part: str) -> list[int]:
    """Return the numbers of one part of the allocations, in increasing order.

    Args:
        subspace: What is divided.
        part: N/M, the N-th of M.
    """
    which, parts = map(int, part.split("/"))
    size = piece_size(subspace)
    return [n for n in range(len(subspace)) if n // size % parts == which - 1]


def _scored(setup: NetworkSetup, images: int) -> Split:
    """Return the images that rows are scored on.

    Raises:
        ConfigError: the task is judged by something else than right and wrong images.
    """
    split = setup.task.search
    count = images or len(split)
    scores = setup.float_search_scores()
    if scores.each is None or scores.each.dtype != torch.bool:
        raise ConfigError(
            "expected a metric by which an image is right or wrong, found "
            f"{setup.task.objective.metric.name}",
            "tabulate with --task.metric top1",
        )
    return split.pick(torch.arange(count))
