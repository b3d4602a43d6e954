"""SimulatedDevice: a formula in place of a device, for tests. Labelled `simulated` everywhere."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hardware.closing import Closing
from hardware.device import MeasureResult
from hardware.energy.energy import Energy
from hardware.facts import MeasurementFacts
from hardware.graph.tensor_widths import BitPair
from hardware.layers.table import LayerTable
from hardware.layers.timing import bit_pairs
from hardware.measuring.energy_gauge import EnergyGauge
from hardware.measuring.measurement import Measurement, MeasurementSource
from hardware.measuring.protocol import ProtocolConfig
from hardware.progress import LabelledProgress
from hardware.runtime.returned import Returned, joined
from hardware.tile_search.report import TileReport
from hardware.wire.returned import returned_parts
from quant.deploy_graph import Conv2d, DeployGraph, Linear, MatMul, RunIsland
from quant.integer import run_graph

_GIGA_INSTRUCTIONS_PER_S = 2.5
_MACS_PER_BLOCK = 32
_ENERGY_PROGRAMS = 4
"""Enough for a model in which every program takes the same power."""
_FAMILY = "formula"
"""What a layer table calls the kernels that a formula stands for."""
_FLOAT_INSTRUCTIONS = 8.0
"""For 32 products in float32 by AVX2: four multiply-adds, and as many loads."""
_CALL_US = 0.25
"""Time of one operator that is not a layer, and of calling one that is."""
_NOISE = 0.005
"""Relative spread of the pseudo-noise: enough to be seen, far inside the verdict's 10 %."""


def simulated_layer_us(macs: int, weight_bits: int, activation_bits: int) -> float:
    """Return the formula's microseconds of one layer.

    Instructions for 32 products by AVX2's ways of multiplying: 4 where a code fills 8 bits on
    both sides, 3 where one side has 7, else 2 and 2 / depth for widening every `depth` steps.
    Source: docs/integers.md, "Accumulation depth" (an int16 sum, two products at a time).
    """
    largest = (2**activation_bits - 1) * (2 ** (weight_bits - 1) - 1)
    depth = np.iinfo(np.int16).max // (2 * largest)
    blocks = macs / _MACS_PER_BLOCK
    per_block = 4.0 if depth < 1 else 3.0 if depth < 2 else 2.0 + 2.0 / depth
    return _CALL_US + blocks * per_block / (_GIGA_INSTRUCTIONS_PER_S * 1000.0)


class SimulatedDevice(Closing):
    """Answers like a device, from a formula: the same bits give the same values anywhere."""

    source: MeasurementSource = "simulated"
    parallel = 1

    def __init__(self, protocol: ProtocolConfig, gauge: EnergyGauge | None = None) -> None:
        """Keep the protocol: repeats and batch shape the answer.

        Args:
            protocol: How programs would be timed.
            gauge: A modelled source of energy; a formula moves no meter.
        """
        self._protocol = protocol
        self._gauge = gauge

    @property
    def name(self) -> str:
        """Always `simulated`."""
        return "simulated"

    def facts(self) -> MeasurementFacts:
        """Return that the numbers come from a formula, and its constants."""
        facts: MeasurementFacts = {
            "cpu": "simulated",
            "giga_instructions_per_s": _GIGA_INSTRUCTIONS_PER_S,
            "call_us": _CALL_US,
            "noise": _NOISE,
        }
        if self._gauge is not None:
            facts["energy"] = self._gauge.facts()
        return facts

    def identity(self, graph: DeployGraph) -> Any:
        """Return what the formula reads of a graph."""
        layers = [self._layer_facts(graph, op) for op in graph.decided_ops()]
        return [layers, len(graph.ops), *self._islands_us(graph).values()]

    def measure(self, graph: DeployGraph) -> MeasureResult:
        """Return the formula's time with pseudo-noise drawn from the graph's bits and shapes."""
        layers = [self._layer_facts(graph, op) for op in graph.decided_ops()]
        total_us = self._overhead_us(graph) + sum(simulated_layer_us(*facts) for facts in layers)
        kept = list(self._islands_us(graph).values())
        document = json.dumps([layers, *([kept] if kept else []), self._protocol.repeats])
        seed = int.from_bytes(hashlib.sha256(document.encode()).digest()[:8], "little")
        noise = np.random.default_rng(seed).standard_normal(self._protocol.repeats)
        values_us = total_us * (1.0 + _NOISE * np.clip(noise, -4.0, 4.0))
        measurement = Measurement(
            values_ms=tuple(float(value) for value in values_us / 1000.0),
            loops=1,
            protocol=self._protocol,
            source=self.source,
            device=self.name,
            facts=self.facts(),
        )
        if self._gauge is not None:
            energy = self._gauge.measure(lambda loops: None, measurement.median_ms)
            measurement = replace(measurement, energy=energy)
        return MeasureResult(measurement=measurement)

    def sample_energy(self, graph: DeployGraph) -> tuple[Energy, float]:
        """Return the modelled energy of a graph and its time in milliseconds."""
        measurement = self.measure(graph).measurement
        assert measurement is not None
        assert measurement.energy is not None
        return measurement.energy, measurement.median_ms

    def run(self, graph: DeployGraph, x: npt.NDArray[np.float32]) -> Returned:
        """Run the integer reference."""
        values: dict[str, npt.NDArray[Any]] = {}
        run_graph(graph, x, keep=values)
        return joined([[part.astype(np.float32) for part in returned_parts(graph, values)]])

    @contextmanager
    def bench(self) -> Iterator[Self]:
        """Lend the device itself."""
        yield self

    @property
    def energy_programs(self) -> int:
        """A few where energy is modelled, else none."""
        return 0 if self._gauge is None else _ENERGY_PROGRAMS

    def search_tiles(
        self,
        graph: DeployGraph,
        pairs: Mapping[str, Sequence[BitPair]],
        progress: LabelledProgress | None = None,
    ) -> TileReport:
        """Do nothing: a formula has no tiles."""
        return TileReport(why_none="nothing to choose, a formula has none")

    def tiles(self, graph: DeployGraph, pairs: Mapping[str, Sequence[BitPair]]) -> str:
        """Return nothing: a formula has no tiles."""
        return ""

    def time_layers(
        self,
        graph: DeployGraph,
        bit_choices: Sequence[int],
        progress: LabelledProgress | None = None,
        *,
        equal_bits: bool = False,
    ) -> LayerTable:
        """Return the formula's parts, without noise."""
        macs = {op.layer: self._layer_facts(graph, op)[0] for op in graph.decided_ops()}
        pairs = bit_pairs(graph, bit_choices, equal_bits=equal_bits)
        times_us = {
            layer: {pair: simulated_layer_us(macs[layer], *pair) for pair in choices}
            for layer, choices in pairs.items()
        }
        if progress is not None:
            progress(len(pairs), len(pairs), "simulated")
        return LayerTable(
            times_us=times_us,
            overhead_us=self._overhead_us(graph),
            islands_us=self._islands_us(graph),
            source=self.source,
            disturbed_share=0.0,
            families={layer: dict.fromkeys(choices, _FAMILY) for layer, choices in pairs.items()},
        )

    def close(self) -> None:
        """Do nothing: a formula holds nothing."""

    def _layer_facts(
        self, graph: DeployGraph, op: Conv2d | Linear | MatMul
    ) -> tuple[int, int, int]:
        """Return `(macs, weight_bits, activation_bits)` of one layer at the protocol's batch."""
        if isinstance(op, MatMul):
            return self._protocol.batch * op.matrices.macs, *op.pair
        pixels = prod(graph.tensors[op.output].shape[:-1])
        macs = self._protocol.batch * pixels * int(op.weight.size)
        return macs, *op.pair

    def _islands_us(self, graph: DeployGraph) -> dict[str, float]:
        """Return the formula's microseconds of each layer that is left in float."""
        return {
            op.name: 3 * _CALL_US  # with the way in and out
            + self._protocol.batch
            * prod(graph.tensors[op.output].shape[1:])
            * op.module.weight.numel()
            / _MACS_PER_BLOCK
            * _FLOAT_INSTRUCTIONS
            / (_GIGA_INSTRUCTIONS_PER_S * 1000.0)
            for op in graph.ops
            if isinstance(op, RunIsland) and op.layer
        }

    def _overhead_us(self, graph: DeployGraph) -> float:
        islands_us = self._islands_us(graph)
        others = len(graph.ops) - len(graph.decided_ops()) - 3 * len(islands_us)
        return _CALL_US * others + sum(islands_us.values())
