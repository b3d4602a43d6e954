"""python -m experiments.bench: how soon candidates are programs, how good and fast those are."""

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, RenderableType

from experiments.bench.peers.contender import ENGINES
from experiments.bench.rounding import bench_rounding, draw_rounding
from experiments.bench.runtime.bench import RuntimeOptions, bench_runtime
from experiments.bench.runtime.hidden import HIDING, how_hidden
from experiments.bench.runtime.table import draw_runtime
from experiments.bench.standard_networks import NETWORKS
from experiments.bench.table_check import check_table, draw_table_check
from experiments.bench.turnaround import draw_turnaround, measure_turnaround
from experiments.errors import BenchError, RunFolderError
from experiments.settings.load import load_config
from experiments.settings.run_config import RunConfig
from experiments.terminal.exit_codes import run_command
from quant.json_form import to_plain

__all__ = ["main"]

_MODULE = "experiments.bench"
_WHAT = {
    "turnaround": "Seconds from a never-seen allocation to a runnable program, beside ordinary "
    "TVM's for the float network",
    "table": "The layer table's predictions against measured random allocations",
    "rounding": "Test accuracy of uniform allocations, with weights rounded to the nearest and so "
    "that errors cancel, without retraining and with it",
    "runtime": "Milliseconds of our kernels beside those of other engines, on well-known networks",
}
_OTHER_FLAGS = "Other flags are those of python -m experiments.run, for example --target.mcpu."


def main(arguments: Sequence[str]) -> int:
    """Run a benchmark and return the exit code."""
    known, rest = _parser().parse_known_args(list(arguments))
    if known.what != "runtime":
        return run_command(lambda: _bench(known, load_config(rest)))
    command = shlex.join([*(HIDING if how_hidden() else HIDING[:1]), "-m", _MODULE, *arguments])
    return run_command(lambda: _bench_runtime(known, load_config(rest), command))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}")
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    for name, text in _WHAT.items():
        command = what.add_parser(
            name,
            parents=[common],
            help=text,
            description=f"{text}. {_OTHER_FLAGS}",
            allow_abbrev=False,  # a short form could be the beginning of another command's flag
        )
        if name == "runtime":
            _add_runtime_flags(command)
        elif name != "rounding":
            command.add_argument(
                "--network",
                choices=tuple(NETWORKS),
                help=f"{', '.join(NETWORKS)}, with random weights; the task's network by default",
            )
    return parser


def _add_runtime_flags(parser: argparse.ArgumentParser) -> None:
    default = RuntimeOptions()
    for flag, names in (("--networks", tuple(NETWORKS)), ("--engines", ENGINES)):
        parser.add_argument(
            flag,
            nargs="+",
            choices=names,
            default=names,
            metavar="NAME",
            help=f"of {', '.join(names)}; all by default",
        )
    parser.add_argument(
        "--repeats",
        type=int,
        default=default.repeats,
        metavar="N",
        help=f"interleaved rounds; {default.repeats} by default",
    )
    parser.add_argument(
        "--hide-wide-vectors",
        action="store_true",
        help=argparse.SUPPRESS,
    )


def _bench(known: argparse.Namespace, config: RunConfig) -> None:
    if known.what == "turnaround":
        turnaround = measure_turnaround(config, known.network)
        _show(draw_turnaround(turnaround), turnaround, known.json)
    elif known.what == "rounding":
        rounding = bench_rounding(config)
        _show(draw_rounding(rounding), rounding, known.json)
    else:
        check = check_table(config, known.network)
        _show(draw_table_check(check), check, known.json)


def _bench_runtime(known: argparse.Namespace, config: RunConfig, command: str) -> None:
    if known.hide_wide_vectors:
        raise BenchError(
            "--hide-wide-vectors is a command of its own",
            f"{' '.join(HIDING)} -m {_MODULE} runtime ...",
        )
    options = RuntimeOptions(
        networks=tuple(known.networks),
        engines=tuple(known.engines),
        repeats=known.repeats,
        command=command,
    )
    bench = bench_runtime(options, config)
    _show(draw_runtime(bench), bench, known.json)


def _show(table: RenderableType, document: object, file: Path | None) -> None:
    Console().print(table)
    if file is None:
        return
    try:
        file.write_text(json.dumps(to_plain(document), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise RunFolderError(f"cannot write {file}: {error.strerror or error}") from None
    print(f"written to {file}")
