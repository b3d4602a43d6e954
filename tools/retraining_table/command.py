"""The command: one table of every network that can be measured here."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from env.evaluating.stored_accuracies import code_digest
from experiments.errors import ConfigError, RunFolderError, cannot_write
from experiments.record.environment_facts import commit_name
from experiments.settings.command_line import Command, command_line, run_typed
from experiments.stages.network_setup import set_up_network
from experiments.terminal.progress import LiveProgress
from quant.records.json_form import to_plain
from quant.records.ranges import Count, check_ranges
from tools.retraining_table.cells import FLOAT, Cells
from tools.retraining_table.markdown import footnote, table_markdown
from tools.retraining_table.measuring import Measuring
from tools.retraining_table.subjects import SUBJECTS, Subject, SubjectName
from tools.retraining_table.table import NetworkRows, rows_of
from tools.retraining_table.ways import NEAREST, RIVALS

MODULE = "tools.retraining_table"
_OLDER = {"none": (), "rivals": (FLOAT, NEAREST, *RIVALS), "all": (FLOAT, NEAREST, *RIVALS, "ours")}


@dataclass(frozen=True, kw_only=True, slots=True)
class TableOptions:
    """Measure what retraining reaches on networks trained elsewhere, beside its rivals.

    Each cell is written down when it is finished, and not measured again: type the command once
    more to go on.
    """

    json: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Where the table goes; its cells lie beside it, as FILE with .jsonl."""
    markdown: bool = False
    """Print the table as the docs have it."""
    networks: tuple[SubjectName, ...] = tuple(subject.name for subject in SUBJECTS)
    """Which networks, in their order."""
    bits: tuple[int, ...] = (8, 4, 3, 2)
    """Uniform widths."""
    seeds: Count = 3
    """Runs of what is random: with the seeds from 0."""
    search_images: Count = 2000
    """Most images of the search split that rates are chosen on."""
    keep_older: Literal["none", "rivals", "all"] = "none"
    """Whose cells count though the retraining's code has changed since."""

    def __post_init__(self) -> None:
        """Refuse a table of no seed or no image."""
        check_ranges(self, "", ConfigError)


def main(arguments: Sequence[str]) -> int:
    """Measure the table and return the exit code."""
    command = Command(
        options=TableOptions, work=lambda o: _work(o, command_line(MODULE, arguments))
    )
    return run_typed(MODULE, command, arguments)


def _work(options: TableOptions, typed: str) -> None:
    torch.set_num_threads(1)
    older = _OLDER[options.keep_older]
    commit = commit_name()  # before anybody edits what already runs
    cells = Cells(options.json.with_suffix(".jsonl"), code_digest(), older)
    networks = []
    for subject in SUBJECTS:
        if subject.name not in options.networks:
            continue
        if subject.missing:
            print(f"{subject.title}: left out, as {subject.missing}", flush=True)
            continue
        networks.append(_rows(subject, cells, options, commit))
        _write(options.json, _document(networks, cells, options, typed))
    if not networks:
        raise RunFolderError("expected a network that can be measured here, found none of them")
    if options.markdown:
        print(table_markdown(networks))
        print(footnote(_document(networks, cells, options, typed)))
    print(f"written to {options.json}")


def _rows(subject: Subject, cells: Cells, options: TableOptions, commit: str) -> NetworkRows:
    with LiveProgress(quiet=True) as progress:
        setup = set_up_network(subject.config, progress)
    measuring = Measuring(
        subject.name,
        setup,
        cells,
        seeds=range(options.seeds),
        search_images=options.search_images,
        commit=commit,
        say=lambda sentence: print(sentence, flush=True),
    )
    return rows_of(subject, measuring, options.bits)


def _document(
    networks: Sequence[NetworkRows], cells: Cells, options: TableOptions, typed: str
) -> dict[str, Any]:
    used = cells.used
    return {
        "command": typed,
        "date": time.strftime("%Y-%m-%d"),
        "commits": sorted({cell.commit for cell in used}),
        "cpus": sorted({cell.cpu for cell in used}),
        "seconds": round(sum(cell.seconds for cell in used), 1),
        "seeds": options.seeds,
        "search_images": options.search_images,
        "networks": [{**to_plain(network), "met": network.met} for network in networks],
    }


def _write(file: Path, document: dict[str, Any]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise cannot_write(file, error) from None
