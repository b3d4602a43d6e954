"""Turnaround: seconds from a never-seen allocation to a runnable program, in a warm process."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from pydantic import model_serializer
from rich.table import Table

from experiments.bench.allocations import random_allocations
from experiments.bench.network import BenchNetwork, load_bench_network
from experiments.bench.standard_networks import NetworkName
from experiments.settings.run_config import RunConfig
from experiments.terminal.progress import LiveProgress
from hardware.kernels.compiling.compile_pool import CompileReport
from hardware.runtime.linked import LinkedProgram
from hardware.target import TargetConfig
from hardware.worker.program.ordinary_tvm import build_ordinary
from hardware.worker.workbench import Workbench
from quant.allocation import Allocation, ProductBits
from quant.convert import convert
from quant.deploy_graph import DeployGraph
from quant.layers import MAX_BITS, MIN_BITS
from quant.network import QuantizedNetwork
from quant.records.json_form import Plain

_ALLOCATIONS = 30
_ORDINARY_BUILDS = 3
_WIDTHS = MAX_BITS - MIN_BITS + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Turnaround:
    """Seconds for each random allocation, in order, and ordinary TVM's for the float network."""

    network: str
    device: str
    convert_s: tuple[float, ...]
    """Setting the bits and quantizing: allocation to DeployGraph."""
    build_s: tuple[float, ...]
    """Planning, packing the weights and assembling: DeployGraph to a loaded program."""
    link_s: tuple[float, ...]
    """Planning, packing and linking: DeployGraph to one shared library for a board."""
    load_s: tuple[float, ...]
    """Loading that library."""
    kernels: CompileReport
    """Compiling the kernels of every pair of widths that were not on disk before."""
    first_kernels_s: float
    """Making every kernel of the network available once, compiling included."""
    ordinary_export_s: tuple[float, ...]
    ordinary_import_s: tuple[float, ...]
    ordinary_build_s: tuple[float, ...]

    @property
    def total_s(self) -> tuple[float, ...]:
        """Allocation to runnable program."""
        return tuple(a + b for a, b in zip(self.convert_s, self.build_s, strict=True))

    @property
    def file_s(self) -> tuple[float, ...]:
        """Allocation to one linked file."""
        return tuple(a + b for a, b in zip(self.convert_s, self.link_s, strict=True))

    @property
    def ordinary_s(self) -> tuple[float, ...]:
        """Float module to runnable program, as ordinary TVM does it."""
        parts = (self.ordinary_export_s, self.ordinary_import_s, self.ordinary_build_s)
        return tuple(sum(times) for times in zip(*parts, strict=True))

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        return {
            **plain(self),
            "file_median_s": statistics.median(self.file_s),
            "median_s": statistics.median(self.total_s),
            "ordinary_median_s": statistics.median(self.ordinary_s),
        }


def measure_turnaround(config: RunConfig, network: NetworkName | None = None) -> Turnaround:
    """Time the way of random allocations to a program, and ordinary TVM's beside it.

    Args:
        config: Target, task and seed.
        network: See `load_bench_network`.
    """
    with (
        LiveProgress(quiet=config.quiet) as progress,
        tempfile.TemporaryDirectory(prefix="bitalloc-turnaround-") as folder,
    ):
        subject = load_bench_network(network, config, progress)
        workbench = Workbench(config.device_target, config.protocol.batch)
        started = time.perf_counter()
        kernels = _warm(subject.network, workbench, progress)
        first_kernels_s = time.perf_counter() - started
        times = []
        for done, allocation in enumerate(
            random_allocations(subject.network.layers, _ALLOCATIONS, config.seed), start=1
        ):
            file = Path(folder) / f"program{done}.so"
            times.append(_time_one(subject.network, allocation, workbench, file))
            progress.stage("allocations", done, _ALLOCATIONS)
        ordinary = list(_ordinary(subject, config.target, progress))
    convert_s, build_s, link_s, load_s = zip(*times, strict=True)
    export_s, import_s, ordinary_build_s = zip(*ordinary, strict=True)
    return Turnaround(
        network=subject.name,
        device=str(workbench.facts()["target"]),
        convert_s=convert_s,
        build_s=build_s,
        link_s=link_s,
        load_s=load_s,
        kernels=kernels,
        first_kernels_s=first_kernels_s,
        ordinary_export_s=export_s,
        ordinary_import_s=import_s,
        ordinary_build_s=ordinary_build_s,
    )


def _time_one(
    network: QuantizedNetwork, allocation: Allocation, workbench: Workbench, file: Path
) -> tuple[float, float, float, float]:
    """Return the seconds of converting, building, linking and loading one allocation.

    Each allocation is new to all of them, and neither of the last three uses what another made.
    """
    started = time.perf_counter()
    network.set_allocation(allocation)
    graph = convert(network)
    converted = time.perf_counter()
    build_s = workbench.build(graph, check=False).build_s
    built = time.perf_counter()
    workbench.link(graph, file)
    linked = time.perf_counter()
    LinkedProgram(file)
    return converted - started, build_s, linked - built, time.perf_counter() - linked


def draw_turnaround(turnaround: Turnaround) -> Table:
    """Draw medians with the smallest and the largest."""
    table = Table(
        caption=f"{turnaround.network}; {len(turnaround.total_s)} random allocations. "
        f"{_kernel_sentence(turnaround)}",
        caption_justify="left",
    )
    table.add_column("")
    for name in ("median", "least", "most"):
        table.add_column(name, justify="right")
    rows = {
        "quantize and convert": turnaround.convert_s,
        "pack and assemble": turnaround.build_s,
        "allocation to program": turnaround.total_s,
        "pack and link one file": turnaround.link_s,
        "allocation to one file": turnaround.file_s,
        "load the file": turnaround.load_s,
        "ordinary TVM: export": turnaround.ordinary_export_s,
        "ordinary TVM: import": turnaround.ordinary_import_s,
        "ordinary TVM: build": turnaround.ordinary_build_s,
        "ordinary TVM: float network to program": turnaround.ordinary_s,
    }
    for name, values in rows.items():
        figures = (statistics.median(values), min(values), max(values))
        table.add_row(name, *(f"{value:.4f} s" for value in figures))
    return table


def _kernel_sentence(turnaround: Turnaround) -> str:
    kernels = turnaround.kernels
    return (
        f"Every kernel was made available first, once, in {turnaround.first_kernels_s:.1f} s: of "
        f"{kernels.kernels} kernels, {kernels.compiled} were compiled, in {kernels.wall_s:.1f} s "
        f"by {kernels.processes} processes ({kernels.cpu_s:.1f} s of CPU time), and the others "
        "found on disk."
    )


def _warm(network: QuantizedNetwork, workbench: Workbench, progress: LiveProgress) -> CompileReport:
    """Compile and load every kernel that any allocation can need."""
    report = workbench.compile_kernels(
        (graph for _, graph in _every_pair(network)),
        os.cpu_count() or 1,
        lambda done, total: progress.stage("kernels", done, total),
    )
    for done, graph in _every_pair(network):
        workbench.build(graph, check=False)
        progress.stage("loading kernels", done, _WIDTHS**2)
    return report


def _every_pair(network: QuantizedNetwork) -> Iterator[tuple[int, DeployGraph]]:
    """Yield the network at every pair of one width for all weights and one for all activations."""
    widths = range(MIN_BITS, MAX_BITS + 1)
    pairs = product(widths, widths)
    for done, (weight_bits, activation_bits) in enumerate(pairs, start=1):
        uniform = Allocation.uniform(network.layers, activation_bits)
        network.set_allocation(
            Allocation.of(
                {
                    name: bits
                    if isinstance(bits, ProductBits)
                    else replace(bits, weight_bits=weight_bits)
                    for name, bits in uniform.items
                }
            )
        )
        yield done, convert(network)


def _ordinary(
    subject: BenchNetwork, target: TargetConfig, progress: LiveProgress
) -> Iterator[tuple[float, float, float]]:
    """Yield (export, import, build) seconds of the float module with batch 1."""
    for done in range(1, _ORDINARY_BUILDS + 1):
        started = time.perf_counter()
        exported = torch.export.export(subject.module.eval(), (subject.example,))
        export_s = time.perf_counter() - started
        program = build_ordinary(exported, target)
        yield export_s, program.import_s, program.build_s
        progress.stage("ordinary TVM", done, _ORDINARY_BUILDS)
