"""Turnaround: seconds from a never-seen allocation to a runnable program, in a warm process."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.table import Table

from env.decisions import allocation_of, decision_sequence
from experiments.config import RunConfig
from experiments.network_setup import NetworkSetup, set_up_network
from experiments.progress import LiveProgress
from hardware.ordinary_tvm import build_ordinary
from hardware.target import TargetConfig
from hardware.workbench import Workbench
from quant.allocation import Allocation, LayerBits
from quant.convert import convert
from quant.layers import MAX_BITS, MIN_BITS, LayerSpec
from quant.network import QuantizedNetwork

__all__ = ["Turnaround", "draw_turnaround", "measure_turnaround", "random_allocations"]

ALLOCATIONS = 30
ORDINARY_BUILDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Turnaround:
    """Seconds for each random allocation, in order, and ordinary TVM's for the float network."""

    network: str
    device: str
    convert_s: tuple[float, ...]
    """Setting the bits and quantizing: allocation to DeployGraph."""
    build_s: tuple[float, ...]
    """Planning, packing the weights and assembling: DeployGraph to a loaded program."""
    first_kernels_s: float
    """Making every kernel of the network available once; compiled ones come from the disk."""
    ordinary_export_s: tuple[float, ...]
    ordinary_import_s: tuple[float, ...]
    ordinary_build_s: tuple[float, ...]

    @property
    def total_s(self) -> tuple[float, ...]:
        """Allocation to runnable program."""
        return tuple(a + b for a, b in zip(self.convert_s, self.build_s, strict=True))

    @property
    def ordinary_s(self) -> tuple[float, ...]:
        """Float module to runnable program, as ordinary TVM does it."""
        parts = (self.ordinary_export_s, self.ordinary_import_s, self.ordinary_build_s)
        return tuple(sum(times) for times in zip(*parts, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document: every value and the medians."""
        document = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **document,
            "median_s": statistics.median(self.total_s),
            "ordinary_median_s": statistics.median(self.ordinary_s),
        }


def random_allocations(layers: tuple[LayerSpec, ...], count: int, seed: int) -> list[Allocation]:
    """Draw `count` different allocations with widths from 2 to 8; tied tensors stay tied."""
    rng = np.random.default_rng(seed)
    decisions = decision_sequence(layers)
    found: dict[Allocation, None] = {}
    while len(found) < count:
        bits = rng.integers(MIN_BITS, MAX_BITS + 1, len(decisions)).tolist()
        found[allocation_of(layers, bits)] = None
    return list(found)


def measure_turnaround(config: RunConfig) -> Turnaround:
    """Time the way of random allocations to a program, and ordinary TVM's beside it."""
    with LiveProgress(quiet=config.quiet) as progress:
        setup = set_up_network(config, progress)
        workbench = Workbench(config.device_target, config.protocol.batch)
        first_kernels_s = _warm(setup.network, workbench, progress)
        convert_s, build_s = [], []
        for done, allocation in enumerate(
            random_allocations(setup.network.layers, ALLOCATIONS, config.seed), start=1
        ):
            started = time.perf_counter()
            setup.network.set_allocation(allocation)
            graph = convert(setup.network)
            convert_s.append(time.perf_counter() - started)
            build_s.append(workbench.build(graph, check=False).build_s)
            progress.stage("allocations", done, ALLOCATIONS)
        ordinary = list(_ordinary(setup, config.target, progress))
    export_s, import_s, ordinary_build_s = zip(*ordinary, strict=True)
    return Turnaround(
        network=config.task.name,
        device=str(workbench.facts()["target"]),
        convert_s=tuple(convert_s),
        build_s=tuple(build_s),
        first_kernels_s=first_kernels_s,
        ordinary_export_s=export_s,
        ordinary_import_s=import_s,
        ordinary_build_s=ordinary_build_s,
    )


def draw_turnaround(turnaround: Turnaround) -> Table:
    """Draw medians with the smallest and the largest."""
    table = Table(
        caption=f"{turnaround.network}; {len(turnaround.total_s)} random allocations; every kernel "
        f"was made available first, once, in {turnaround.first_kernels_s:.1f} s",
        caption_justify="left",
    )
    table.add_column("")
    for name in ("median", "least", "most"):
        table.add_column(name, justify="right")
    rows = {
        "quantize and convert": turnaround.convert_s,
        "pack and assemble": turnaround.build_s,
        "allocation to program": turnaround.total_s,
        "ordinary TVM: export": turnaround.ordinary_export_s,
        "ordinary TVM: import": turnaround.ordinary_import_s,
        "ordinary TVM: build": turnaround.ordinary_build_s,
        "ordinary TVM: float network to program": turnaround.ordinary_s,
    }
    for name, values in rows.items():
        figures = (statistics.median(values), min(values), max(values))
        table.add_row(name, *(f"{value:.4f} s" for value in figures))
    return table


def _warm(network: QuantizedNetwork, workbench: Workbench, progress: LiveProgress) -> float:
    """Load every kernel that any allocation can need; return the seconds it took."""
    widths = range(MIN_BITS, MAX_BITS + 1)
    pairs = [(weight, activation) for weight in widths for activation in widths]
    started = time.perf_counter()
    for done, (weight_bits, activation_bits) in enumerate(pairs, start=1):
        uniform = Allocation.uniform(network.layers, activation_bits)
        network.set_allocation(
            Allocation.of(
                {
                    name: LayerBits(weight_bits=weight_bits, activation_bits=bits.activation_bits)
                    for name, bits in uniform.items
                }
            )
        )
        workbench.build(convert(network), check=False)
        progress.stage("kernels", done, len(pairs))
    return time.perf_counter() - started


def _ordinary(
    setup: NetworkSetup, target: TargetConfig, progress: LiveProgress
) -> Iterator[tuple[float, float, float]]:
    """Yield (export, import, build) seconds of the float module with batch 1."""
    example = setup.task.train.images[:1]
    for done in range(1, ORDINARY_BUILDS + 1):
        started = time.perf_counter()
        exported = torch.export.export(setup.module.eval(), (example,))
        export_s = time.perf_counter() - started
        program = build_ordinary(exported, target)
        yield export_s, program.import_s, program.build_s
        progress.stage("ordinary TVM", done, ORDINARY_BUILDS)
