"""python -m experiments.staircase: what bits buy on a device, layer by layer."""

import argparse
import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console, RenderableType

from experiments.charts.draw import draw_chart, png_bytes
from experiments.errors import ConfigError, RunFolderError
from experiments.record.environment_facts import command_line
from experiments.settings.load import load_config
from experiments.settings.run_config import RunConfig
from experiments.stages.measured import graph_of
from experiments.stages.network_setup import set_up_network
from experiments.staircase.figure import speedup_chart
from experiments.staircase.notes import notes
from experiments.staircase.staircase import Staircase, measure_staircase
from experiments.staircase.tables import draw_bar, draw_pairs, draw_widths
from experiments.terminal.exit_codes import run_command
from experiments.terminal.progress import LiveProgress
from hardware.device import Device
from hardware.layers.shapes import SMALL_SHAPES, STANDARD_SHAPES, standard_graph
from hardware.measure_layers import choose_tiles
from hardware.open_device import open_device
from hardware.tiles.report import TileReport
from quant.deploy_graph import DeployGraph
from quant.layers import MAX_BITS, MIN_BITS

__all__ = ["main"]

_SHAPES = {"standard": STANDARD_SHAPES, "small": SMALL_SHAPES}


def main(arguments: Sequence[str]) -> int:
    """Measure and show a staircase; return the exit code."""
    known, rest = _parser().parse_known_args(list(arguments))
    command = command_line("experiments.staircase", arguments)
    return run_command(lambda: _staircase(known, load_config(rest), command))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.staircase",
        description="Time each layer at each bit-width and say what bits buy on the device. Other "
        "flags are those of python -m experiments.run, for example --target.family generic.",
        allow_abbrev=False,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--network", action="store_true", help="the configured task's network (the default)"
    )
    what.add_argument(
        "--shapes",
        choices=tuple(_SHAPES),
        help=f"{len(STANDARD_SHAPES)} layers of well-known networks instead of a network, or "
        f"the {len(SMALL_SHAPES)} smallest, for slow devices",
    )
    widths = range(MIN_BITS, MAX_BITS + 1)
    parser.add_argument(
        "--bits",
        type=int,
        nargs="+",
        default=list(widths),
        metavar="B",
        help=f"widths to time, {MIN_BITS} to {MAX_BITS}; {MAX_BITS} is always among them",
    )
    parser.add_argument(
        "--all-pairs",
        action="store_true",
        help="also every pair of unequal weight and activation bits",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything there")
    parser.add_argument(
        "--figure", type=Path, metavar="FILE.png", help="also draw the staircase there"
    )
    return parser


def _staircase(known: argparse.Namespace, config: RunConfig, command: str) -> None:
    _check_bits(known.bits)
    _check_files(known.json, known.figure)
    what = f"{known.shapes} shapes" if known.shapes else config.task.name
    device = open_device(config.device_target, config.protocol)
    try:
        with LiveProgress(quiet=config.quiet) as progress:
            graphs = _graphs(known.shapes, config, progress)
            tiles = _choose_tiles(device, graphs, known, progress)
            staircase = measure_staircase(
                device,
                graphs,
                known.bits,
                config.protocol,
                what=what,
                all_pairs=known.all_pairs,
                progress=lambda done, total, name: progress.stage(name, done, total),
            )
    finally:
        device.close()
    print(tiles.sentence)
    _show(staircase, all_pairs=known.all_pairs)
    if known.json is not None:
        text = json.dumps(staircase.to_dict(command), indent=2) + "\n"
        _write(known.json, text.encode())
    if known.figure is not None:
        _write(known.figure, png_bytes(draw_chart(speedup_chart(staircase)))[0])


def _choose_tiles(
    device: Device,
    graphs: Sequence[DeployGraph],
    known: argparse.Namespace,
    progress: LiveProgress,
) -> TileReport:
    """Search before anything is timed; single layers share the progress of all."""
    reports = []
    for done, graph in enumerate(graphs):
        stage = "tiles" if len(graphs) == 1 else f"tiles, layer {done + 1} of {len(graphs)}"
        widths = sorted({*known.bits, MAX_BITS})
        reports.append(
            choose_tiles(
                device,
                graph,
                widths,
                partial(progress.stage, stage),
                equal_bits=not known.all_pairs,
            )
        )
    return TileReport.of(reports)


def _check_bits(bits: Iterable[int]) -> None:
    wrong = [width for width in bits if not MIN_BITS <= width <= MAX_BITS]
    if wrong:
        raise ConfigError(f"--bits: expected {MIN_BITS} to {MAX_BITS}, found {wrong[0]}")
    if not set(bits) - {MAX_BITS}:
        raise ConfigError(f"--bits: expected a width to compare with {MAX_BITS}, found none")


def _check_files(document: Path | None, figure: Path | None) -> None:
    """Refuse files that cannot be written before minutes are spent on what goes into them."""
    if figure is not None and figure.suffix != ".png":
        raise ConfigError(f"--figure: expected a name that ends in .png, found {figure}")
    for file in (document, figure):
        if file is not None and not file.parent.is_dir():
            raise RunFolderError(f"cannot write {file}: there is no folder {file.parent}")


def _graphs(shapes: str | None, config: RunConfig, progress: LiveProgress) -> list[DeployGraph]:
    if shapes:
        return [standard_graph(shape) for shape in _SHAPES[shapes]]
    network = set_up_network(config, progress).network
    return [graph_of(network)]


def _show(staircase: Staircase, *, all_pairs: bool) -> None:
    parts = [draw_widths(staircase), draw_pairs(staircase) if all_pairs else None]
    for table in (*parts, draw_bar(staircase)):
        if table is not None:
            _print_whole(table)
    for note in notes(staircase):
        print(note)
    print(f"\n{staircase.sentence}")


def _print_whole(table: RenderableType) -> None:
    """Print a table at its full width: a narrow terminal wraps its lines, and nothing is cut."""
    console = Console()
    needed = console.measure(table, options=console.options.update(max_width=1000)).maximum
    console.width = max(console.width, needed)
    console.print(table)


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise RunFolderError(f"cannot write {file}: {error.strerror or error}") from None
    print(f"written to {file}")
