"""python -m experiments.measure: what one allocation of a network takes on a device, untrained."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.table import Table

from experiments.errors import ConfigError, RunFolderError, cannot_write
from experiments.record.environment_facts import git_state
from experiments.settings.command_line import Command, run_typed
from experiments.settings.configured import ConfiguredOptions, configured_command
from experiments.settings.run_config import RunConfig
from experiments.settings.written_file import check_file
from experiments.stages.conclusion import uniform_name
from experiments.stages.measured import graph_of
from experiments.stages.network_setup import set_up_network
from experiments.stages.side_by_side import time_side_by_side
from experiments.terminal.progress import LiveProgress
from experiments.terminal.tables import print_whole
from hardware.measure_layers import choose_tiles
from hardware.open_device import open_device
from quant.allocation import Allocation
from quant.layers import MAX_BITS, MIN_BITS, LayerSpec
from quant.records.atomic_file import write_atomically
from quant.records.json_form import json_text
from quant.records.regular_file import read_regular
from quant.records.strict_json import parse_json

GIVEN = "given"
"""The allocation that is asked about, beside all-8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureOptions(ConfiguredOptions):
    """Time one allocation of the configured network beside all-8-bit.

    Nothing is retrained, and no accuracy is known: a program's time depends on its bits alone.
    """

    allocation: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None
    """The bits of each layer, as `best_allocation.json` of a run has them."""
    bits: int | None = None
    """In place of a file: the same bits for every layer."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write everything there."""

    def __post_init__(self) -> None:
        """Refuse what names no allocation, or cannot be written after minutes of measuring."""
        if self.allocation is not None and self.bits is not None:
            raise ConfigError("expected one of --allocation and --bits, found both")
        if self.bits is not None and not MIN_BITS <= self.bits <= MAX_BITS:
            raise ConfigError(f"--bits: expected {MIN_BITS} to {MAX_BITS}, found {self.bits}")
        check_file(self.json, "--json FILE")


def main(arguments: Sequence[str]) -> int:
    """Measure an allocation and return the exit code."""
    return run_typed("experiments.measure", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return configured_command(MeasureOptions, _command)


def measure(
    config: RunConfig,
    choose: Callable[[Sequence[LayerSpec]], Allocation],
    progress: LiveProgress,
) -> Mapping[str, Any]:
    """Return what an allocation and all-8-bit take, timed in interleaved rounds.

    Args:
        config: The network, the device and how programs are timed.
        choose: Given the network's layers, returns the allocation.
        progress: Where the stages are shown.

    Raises:
        BitAllocError: the allocation is none of the network's, or cannot be built.
        HardwareLostError: the device is gone.
    """
    with closing(open_device(config.device_target, config.protocol, config.energy)) as device:
        setup = set_up_network(config, progress, device)
        allocations = {
            uniform_name(MAX_BITS): Allocation.uniform(setup.network.layers, MAX_BITS),
            GIVEN: choose(setup.network.layers),
        }
        tiles = choose_tiles(
            device, graph_of(setup.network), setup.widths, partial(progress.stage, "tiles")
        )
        graphs = {name: graph_of(setup.network, one) for name, one in allocations.items()}
        timed = time_side_by_side(device, graphs, progress=partial(progress.stage, "measuring"))
        return {
            "device": dict(device.facts()),
            "tiles": tiles.sentence,
            "allocations": allocations,
            "model_bytes": {name: graph.weight_bytes() for name, graph in graphs.items()},
            "measurements": timed,
        }


def _choice(options: MeasureOptions) -> Callable[[Sequence[LayerSpec]], Allocation]:
    """Return what makes the allocation of a network's layers; its file is read now."""
    if options.bits is not None:
        return partial(Allocation.uniform, bits=options.bits)
    if options.allocation is None:
        raise ConfigError("expected one of --allocation and --bits, found neither")
    allocation = _read(options.allocation)

    def choose(layers: Sequence[LayerSpec]) -> Allocation:
        allocation.check(layers)
        return allocation

    return choose


def _read(file: Path) -> Allocation:
    try:
        return Allocation.from_dict(parse_json(read_regular(file)))
    except OSError as error:
        raise RunFolderError(f"cannot read {file}: {error.strerror or error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"{file} is no allocation: {error}") from None


def _command(options: MeasureOptions) -> None:
    choose, commit = _choice(options), git_state()
    with LiveProgress(quiet=options.config.quiet) as progress:
        document = measure(options.config, choose, progress)
    table = Table()
    for column in ("allocation", "ms (IQR)", "mJ", "bytes", "verdict"):
        table.add_column(column)
    for name, item in document["measurements"].items():
        energy = "-" if item.energy_mj is None else f"{item.energy_mj:.4g}"
        time_ms = f"{item.median_ms:.4g} ({item.iqr_ms:.2g}) {item.source}"
        size = f"{document['model_bytes'][name]:,}"
        table.add_row(name, time_ms, energy, size, str(item.verdict))
    print_whole(table)
    if options.json is not None:
        text = json_text({"command": options.typed, "commit": commit, **document}, indent=2)
        try:
            write_atomically(options.json, text + "\n")
        except OSError as error:
            raise cannot_write(options.json, error, "--json FILE") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
