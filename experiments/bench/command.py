"""python -m experiments.bench: how soon candidates are programs, how good, noisy and fast."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

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
from experiments.errors import cannot_write
from experiments.settings.command_line import Command, run_typed
from experiments.settings.configured import ConfiguredOptions, configured_command
from experiments.terminal.tables import print_whole
from quant.records.json_form import json_text


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
        "turnaround": configured_command(TurnaroundOptions, _turnaround),
        "table": configured_command(TableOptions, _table),
        "rounding": configured_command(RoundingOptions, _rounding),
        "noise": configured_command(NoiseOptions, _noise),
        "runtime": configured_command(RuntimeOptions, _runtime),
        "mca": configured_command(McaOptions, _mca),
        "budgets": configured_command(OtherBudgetsOptions, _budgets),
        "specialisation": configured_command(SpecialisationOptions, _specialisation),
        "workers": configured_command(WorkersOptions, _workers),
        "loader": configured_command(LoaderOptions, _loader),
        "scale": configured_command(ScaleOptions, _scale),
        "markdown": Command(options=MarkdownOptions, work=_markdown),
    }


def _turnaround(options: TurnaroundOptions) -> None:
    turnaround = measure_turnaround(options.config, options.network)
    _show(draw_turnaround(turnaround), turnaround, options.json)


def _table(options: TableOptions) -> None:
    check = check_table(options.config, options.network)
    _show(draw_table_check(check), check, options.json)


def _rounding(options: RoundingOptions) -> None:
    rounding = bench_rounding(options.config)
    _show(draw_rounding(rounding), rounding, options.json)


def _noise(options: NoiseOptions) -> None:
    noise = bench_noise(options)
    _show(draw_noise(noise), noise, options.json)


def _runtime(options: RuntimeOptions) -> None:
    bench = bench_runtime(options)
    _show(draw_runtime(bench), bench, options.json)


def _mca(options: McaOptions) -> None:
    mca = bench_mca(options)
    _show(draw_mca(mca), mca, options.json)


def _budgets(options: OtherBudgetsOptions) -> None:
    bench = bench_other_budgets(options)
    _show(draw_other_budgets(bench), bench, options.json)


def _specialisation(options: SpecialisationOptions) -> None:
    found = bench_specialisation(options)
    _show(draw_specialisation(found), found, options.json)


def _workers(options: WorkersOptions) -> None:
    bench = bench_workers(options)
    _show(draw_workers(bench), bench, options.json)


def _scale(options: ScaleOptions) -> None:
    bench = bench_scale(options)
    _show(draw_scale(bench), bench, options.json)


def _loader(options: LoaderOptions) -> None:
    bench = bench_loader(options)
    _show(draw_loader(bench), bench, options.json)


def _markdown(options: MarkdownOptions) -> None:
    print(runtime_markdown(read_runtimes(options.file)), end="")


def _show(table: RenderableType, document: object, file: Path | None) -> None:
    print_whole(table)
    if file is None:
        return
    try:
        file.write_text(json_text(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise cannot_write(file, error, "--json FILE") from None
    print(f"written to {file}")
