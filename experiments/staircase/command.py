"""python -m experiments.staircase: what bits buy on a device, layer by layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from experiments.charts.draw import draw_chart, png_bytes
from experiments.errors import ConfigError
from experiments.record.environment_facts import git_state
from experiments.settings.command_line import Command, run_typed
from experiments.settings.configured import ConfiguredOptions, configured_command
from experiments.settings.run_config import RunConfig
from experiments.settings.written_file import check_file, write_file
from experiments.stages.measured import graph_of
from experiments.stages.network_setup import set_up_network
from experiments.staircase.figure import speedup_chart
from experiments.staircase.modelled import model_staircase
from experiments.staircase.notes import notes
from experiments.staircase.staircase import Staircase, measure_staircase
from experiments.staircase.tables import draw_pairs, draw_widths
from experiments.terminal.amx_sentence import amx_sentence
from experiments.terminal.progress import LiveProgress
from experiments.terminal.tables import print_whole
from hardware.device import Device
from hardware.layers.shapes import SMALL_SHAPES, STANDARD_SHAPES, standard_graph
from hardware.measure_layers import choose_tiles
from hardware.open_device import open_device
from hardware.tile_search.report import TileReport
from quant.deploy_graph import DeployGraph
from quant.layers import MAX_BITS, MIN_BITS
from quant.records.json_form import json_text

_FILES = "--json or --figure FILE"
_SHAPES = {"standard": STANDARD_SHAPES, "small": SMALL_SHAPES}


@dataclass(frozen=True, kw_only=True, slots=True)
class StaircaseOptions(ConfiguredOptions):
    """Time each layer at each bit-width and say what bits buy on the device."""

    network: bool = False
    """The layers of the configured task's network, which is also the default."""
    shapes: Literal["standard", "small"] | None = None
    """Layers of well-known networks instead of a network; `small`: the smallest, for slow
    devices."""
    bits: tuple[int, ...] = tuple(range(MIN_BITS, MAX_BITS + 1))
    """Widths to time, 2 to 8; 8 is always among them."""
    modelled: bool = False
    """Ask LLVM's model of the core of `--target.board` instead of a device: nothing is measured."""
    all_pairs: bool = False
    """Also time every pair of unequal weight and activation bits."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write everything there."""
    figure: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """Also draw the staircase there."""

    def __post_init__(self) -> None:
        """Refuse what cannot be compared, or written after minutes of measuring."""
        if self.network and self.shapes:
            raise ConfigError("--network is not allowed with --shapes")
        wrong = [width for width in self.bits if not MIN_BITS <= width <= MAX_BITS]
        if wrong:
            raise ConfigError(f"--bits: expected {MIN_BITS} to {MAX_BITS}, found {wrong[0]}")
        if not set(self.bits) - {MAX_BITS}:
            raise ConfigError(f"--bits: expected a width to compare with {MAX_BITS}, found none")
        if self.figure is not None and self.figure.suffix != ".png":
            raise ConfigError(f"--figure: expected a name that ends in .png, found {self.figure}")
        for file in (self.json, self.figure):
            check_file(file, _FILES)


def main(arguments: Sequence[str]) -> int:
    """Measure and show a staircase; return the exit code."""
    return run_typed("experiments.staircase", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return configured_command(StaircaseOptions, _command)


def _command(options: StaircaseOptions) -> None:
    config, commit = options.config, git_state()
    what = f"{options.shapes} shapes" if options.shapes else config.task.name
    if options.modelled:
        with LiveProgress(quiet=config.quiet) as progress:
            staircase = model_staircase(
                config.device_target,
                _graphs(options.shapes, config, progress),
                options.bits,
                config.protocol,
                what=what,
                all_pairs=options.all_pairs,
                progress=lambda done, total, name: progress.stage(name, done, total),
            )
        _report(staircase, options, commit)
        return
    device = open_device(config.device_target, config.protocol)
    try:
        with LiveProgress(quiet=config.quiet) as progress:
            graphs = _graphs(options.shapes, config, progress)
            tiles = _choose_tiles(device, graphs, options, progress)
            staircase = measure_staircase(
                device,
                graphs,
                options.bits,
                config.protocol,
                what=what,
                all_pairs=options.all_pairs,
                progress=lambda done, total, name: progress.stage(name, done, total),
            )
        amx = amx_sentence(device.facts().get("amx", ""))
    finally:
        device.close()
    print(tiles.sentence)
    if amx:
        print(amx)
    _report(staircase, options, commit)


def _report(staircase: Staircase, options: StaircaseOptions, commit: Mapping[str, Any]) -> None:
    """Show a staircase, and write what is asked for."""
    _show(staircase, all_pairs=options.all_pairs)
    if options.json is not None:
        text = json_text(staircase.to_dict(options.typed, commit), indent=2) + "\n"
        write_file(options.json, text, _FILES)
    if options.figure is not None:
        write_file(options.figure, png_bytes(draw_chart(speedup_chart(staircase)))[0], _FILES)


def _choose_tiles(
    device: Device,
    graphs: Sequence[DeployGraph],
    options: StaircaseOptions,
    progress: LiveProgress,
) -> TileReport:
    """Search before anything is timed; single layers share the progress of all."""
    reports = []
    widths = sorted({*options.bits, MAX_BITS})
    for done, graph in enumerate(graphs):
        stage = "tiles" if len(graphs) == 1 else f"tiles, layer {done + 1} of {len(graphs)}"
        equal_bits = not options.all_pairs
        reports.append(
            choose_tiles(
                device, graph, widths, partial(progress.stage, stage), equal_bits=equal_bits
            )
        )
    return TileReport.of(reports)


def _graphs(shapes: str | None, config: RunConfig, progress: LiveProgress) -> list[DeployGraph]:
    if shapes:
        return [standard_graph(shape) for shape in _SHAPES[shapes]]
    network = set_up_network(config, progress).network
    return [graph_of(network)]


def _show(staircase: Staircase, *, all_pairs: bool) -> None:
    print_whole(draw_widths(staircase))
    if all_pairs:
        print_whole(draw_pairs(staircase))
    for note in notes(staircase):
        print(note)
    print(f"\n{staircase.sentence}")
