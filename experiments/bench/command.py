"""python -m experiments.bench: how soon candidates are programs, how good, noisy and fast."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
from rich.console import RenderableType

from experiments.bench.loader import LoaderOptions, bench_loader, draw_loader
from experiments.bench.mca.bench import McaOptions, bench_mca
from experiments.bench.mca.table import draw_mca
from experiments.bench.noise.bench import NoiseOptions, bench_noise
from experiments.bench.noise.table import draw_noise
from experiments.bench.other_budgets import (
    OtherBudgetsOptions,
    bench_other_budgets,
    draw_other_budgets,
)
from experiments.bench.rounding import bench_rounding, draw_rounding
from experiments.bench.runtime.bench import RuntimeOptions, bench_runtime
from experiments.bench.runtime.markdown import read_runtimes, runtime_markdown
from experiments.bench.runtime.table import draw_runtime
from experiments.bench.scale.bench import ScaleOptions, bench_scale
from experiments.bench.scale.table import draw_scale
from experiments.bench.specialisation.bench import SpecialisationOptions, bench_specialisation
from experiments.bench.specialisation.table import draw_specialisation
from experiments.bench.standard_networks import NetworkName
from experiments.bench.table_check import check_table, draw_table_check
from experiments.bench.turnaround import draw_turnaround, measure_turnaround
from experiments.bench.workers.bench import WorkersOptions, bench_workers
from experiments.bench.workers.table import draw_workers
from experiments.record.environment_facts import git_state
from experiments.settings.command_line import Command, run_typed
from experiments.settings.configured import ConfiguredOptions, configured_command
from experiments.settings.written_file import check_file, write_file
from experiments.terminal.tables import print_whole
from quant.records.json_form import json_text, to_plain

_Options = TypeVar("_Options", bound=ConfiguredOptions)
_Found = TypeVar("_Found")
_JSON = "--json FILE"


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundingOptions(ConfiguredOptions):
    """What rounding weights so that errors cancel is worth: test accuracy at each bit-width."""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the figures there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableOptions(RoundingOptions):
    """The layer table's predictions against measured random allocations."""

    network: NetworkName | None = None
    """A well-known network with random weights; the task's network by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnaroundOptions(TableOptions):
    """Seconds from a never-seen allocation to a runnable program, beside ordinary TVM's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkdownOptions:
    """The table of docs/results.md from a file that `runtime --json` wrote."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.json")]
    """The file."""


def main(arguments: Sequence[str]) -> int:
    """Run a benchmark and return the exit code."""
    return run_typed("experiments.bench", command(), arguments)


def command() -> Mapping[str, Command]:
    """Return what can be typed, by its name."""
    return {
        "turnaround": _bench(
            TurnaroundOptions,
            lambda asked: measure_turnaround(asked.config, asked.network),
            draw_turnaround,
        ),
        "table": _bench(
            TableOptions,
            lambda asked: check_table(asked.config, asked.network),
            draw_table_check,
        ),
        "rounding": _bench(
            RoundingOptions, lambda asked: bench_rounding(asked.config), draw_rounding
        ),
        "noise": _bench(NoiseOptions, bench_noise, draw_noise),
        "runtime": _bench(RuntimeOptions, bench_runtime, draw_runtime),
        "mca": _bench(McaOptions, bench_mca, draw_mca),
        "budgets": _bench(OtherBudgetsOptions, bench_other_budgets, draw_other_budgets),
        "specialisation": _bench(SpecialisationOptions, bench_specialisation, draw_specialisation),
        "workers": _bench(WorkersOptions, bench_workers, draw_workers),
        "loader": _bench(LoaderOptions, bench_loader, draw_loader),
        "scale": _bench(ScaleOptions, bench_scale, draw_scale),
        "markdown": Command(options=MarkdownOptions, work=_markdown),
    }


def _bench(
    options: type[_Options],
    bench: Callable[[_Options], _Found],
    draw: Callable[[_Found], RenderableType],
) -> Command:
    """Return the command that shows what a bench found, and writes it where `json` says."""

    def work(asked: Any) -> None:
        check_file(asked.json, _JSON)
        commit = git_state()  # before anybody edits what already runs
        found = bench(asked)
        print_whole(draw(found))
        if asked.json is not None:
            text = json_text({"commit": commit, **to_plain(found)}, indent=2)
            write_file(asked.json, text + "\n", _JSON)

    return configured_command(options, work)


def _markdown(options: MarkdownOptions) -> None:
    print(runtime_markdown(read_runtimes(options.file)), end="")
