"""Cycles that LLVM's model of a board's core says the kernels of standard layers take.

Without a board the model is one of this machine's core, and the same kernels are timed beside it:
that says how far to believe the model.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from experiments.errors import BenchError
from experiments.settings.configured import ConfiguredOptions
from experiments.terminal.progress import LiveProgress
from hardware.graph.tensor_widths import BitPair
from hardware.kernels.compiling.target import KernelTarget
from hardware.layers.shapes import SMALL_SHAPES, STANDARD_SHAPES, standard_graph
from hardware.measure_layers import measure_layer_table
from hardware.modelled.cores import core_title, modelled_core
from hardware.modelled.kernel_model import ModelledKernel
from hardware.modelled.layer_model import model_layers
from hardware.open_device import open_device
from hardware.target import DOT_PRODUCT, TargetConfig
from quant.deploy_graph import DeployGraph
from quant.layers import MAX_BITS, MIN_BITS

WORST_ERROR = 0.25
"""Error beyond which cycles of a model are not shown, but counts of instructions alone."""
_SHAPES = {"standard": STANDARD_SHAPES, "small": SMALL_SHAPES}


@dataclass(frozen=True, kw_only=True, slots=True)
class McaOptions(ConfiguredOptions):
    """Modelled cycles of the kernels of a board's core, by LLVM's llvm-mca; nothing is measured."""

    shapes: Literal["standard", "small"] = "standard"
    """Layers of well-known networks; `small`: the smallest of them."""
    layers: tuple[str, ...] = ()
    """Only these of them, such as conv3x3-28x28x128."""
    bits: tuple[int, ...] = (8, 4, 3, 2)
    """Widths, 2 to 8."""
    all_pairs: bool = False
    """Also every pair of unequal weight and activation bits."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the figures there."""

    def __post_init__(self) -> None:
        """Refuse widths that no layer has."""
        wrong = [width for width in self.bits if not MIN_BITS <= width <= MAX_BITS]
        if wrong or not self.bits:
            found = wrong[0] if wrong else "none"
            raise BenchError(f"--bits: expected {MIN_BITS} to {MAX_BITS}, found {found}")


@dataclass(frozen=True, kw_only=True, slots=True)
class McaRow:
    """One kernel of one layer."""

    layer: str
    group: str
    """Group of kernels that the family is of."""
    pair: BitPair
    kernel: ModelledKernel
    measured_us: float | None
    """Beside the model of this machine's core; None for a board."""


@dataclass(frozen=True, kw_only=True, slots=True)
class McaBench:
    """What a model says of kernels."""

    core: str
    rows: tuple[McaRow, ...]

    @property
    def source(self) -> str:
        """Where cycles are known from."""
        return "modelled"

    @property
    def cycles_per_us(self) -> dict[str, float]:
        """Modelled cycles of a measured microsecond in each group: the middle of its timed rows."""
        found: dict[str, list[float]] = {}
        for row in self.rows:
            if row.measured_us:
                found.setdefault(row.group, []).append(row.kernel.cycles / row.measured_us)
        return {group: float(np.median(values)) for group, values in found.items()}

    def error(self, row: McaRow) -> float:
        """Return how far a row's cycles are from its time, as a share, by `cycles_per_us`."""
        assert row.measured_us is not None
        return row.kernel.cycles / row.measured_us / self.cycles_per_us[row.group] - 1.0


def bench_mca(options: McaOptions) -> McaBench:
    """Model the kernels of some layers.

    Raises:
        BenchError: a layer that is not known.
        TargetError: a board whose core has no model.
        ToolchainError: LLVM's tools are missing.
    """
    # LLVM has no model of how long products of tiles take.
    config = replace(options.config.device_target, amx=False)
    graphs = list(_graphs(options))
    rows: list[McaRow] = []
    with LiveProgress(quiet=options.config.quiet) as progress:
        for done, graph in enumerate(graphs):
            progress.stage(graph.network, done, len(graphs))
            rows += _rows(graph, config, options)
    title = core_title(config.board) if config.board != "none" else KernelTarget.of(config).mcpu
    return McaBench(core=title, rows=tuple(rows))


def _graphs(options: McaOptions) -> Iterator[DeployGraph]:
    known = {shape.name: shape for shape in _SHAPES[options.shapes]}
    for name in options.layers or known:
        if name not in known:
            raise BenchError(f"--layers: expected some of {', '.join(known)}, found {name}")
        yield standard_graph(known[name])


def _rows(graph: DeployGraph, config: TargetConfig, options: McaOptions) -> Iterator[McaRow]:
    """Yield the kernels of a layer: the core's own group, and the one without dot product."""
    local = config.board == "none"
    core = KernelTarget.of(config).mcpu if local else modelled_core(config).mcpu
    own = KernelTarget.of(config)
    without = KernelTarget.of(replace(config, dot_product=False, family="auto"))
    targets = [own, without] if own.family in DOT_PRODUCT else [own]
    for target in targets:
        found = model_layers(graph, options.bits, target, core, equal_bits=not options.all_pairs)
        seen = replace(config, family=target.family) if local else None
        times = {} if seen is None else _times(graph, seen, options)
        for layer, kernels in found.items():
            for pair, kernel in kernels.items():
                yield McaRow(
                    layer=layer,
                    group=target.family,
                    pair=pair,
                    kernel=kernel,
                    measured_us=times.get(pair),
                )


def _times(graph: DeployGraph, config: TargetConfig, options: McaOptions) -> dict[BitPair, float]:
    """Return the times of a layer on this machine, with the default tiles that are modelled."""
    device = open_device(replace(config, tune_s=0.0), options.config.protocol)
    try:
        equal = not options.all_pairs
        table = measure_layer_table(device, graph, options.bits, equal_bits=equal)
    finally:
        device.close()
    (row,) = table.times_us.values()
    return dict(row)
