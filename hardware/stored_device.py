"""StoredDevice: a device that measures the same program only once, whoever asks."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.closing import Closing
from hardware.device import Bench, Device, MeasureResult
from hardware.errors import BuildError, UnbelievableError
from hardware.expected import check_expected, measure_expected
from hardware.facts import MachineFacts
from hardware.layers.table import LayerTable
from hardware.measure_layers import digest_tiles, measure_layer_table
from hardware.measuring.measurement import Measurement, MeasurementSource
from hardware.measuring.protocol import ProtocolConfig
from hardware.progress import LabelledProgress
from hardware.runtime.returned import Returned
from hardware.store import Store
from quant.deploy_graph import DeployGraph
from quant.records.json_form import from_plain, to_plain

MOST_DISTURBED = 0.2
"""Share of disturbed samples up to which a layer table is worth keeping."""


class StoredDevice(Closing):
    """Looks measurements up in a store before it asks the device, and keeps the stable ones.

    The key is the program (its kernels and the shapes of their constants: time does not depend on
    values), the machine's standing facts and the protocol. Only stable measurements are kept: an
    unstable one is worth trying again.
    """

    def __init__(
        self,
        device: Device,
        store: Store,
        protocol: ProtocolConfig,
        table: LayerTable | None = None,
    ) -> None:
        """Wrap a device; the caller closes both.

        Args:
            device: What is asked where the store has nothing.
            store: Where measurements are kept.
            protocol: How the device times.
            table: What measurements are held against, kept ones too; None for nothing.
        """
        self._device = device
        self._table = table
        self._store = store
        self._protocol = protocol

    @property
    def source(self) -> MeasurementSource:
        """Where the device's numbers come from."""
        return self._device.source

    @property
    def name(self) -> str:
        """The device's name."""
        return self._device.name

    @property
    def parallel(self) -> int:
        """How many candidates the device measures at once."""
        return self._device.parallel

    def facts(self) -> MachineFacts:
        """Return the device's facts."""
        return self._device.facts()

    def identity(self, graph: DeployGraph) -> Any:
        """Return what decides a program's time."""
        return self._device.identity(graph)

    def measure(self, graph: DeployGraph) -> MeasureResult:
        """Return the stored measurement of an equal program, or measure.

        Raises:
            HardwareLostError: the device is gone.
            StoreError: the store cannot be read or written.
        """
        try:
            key = self._key(graph)
        except BuildError as error:  # no kernel, so nothing to look up either
            return MeasureResult(error=str(error))
        found = self._store.read("measurement", key, lambda known: self._believed(known, graph))
        if found is not None:
            return MeasureResult(measurement=found, cached=True)
        result = measure_expected(self._device, graph, self._table)
        if result.measurement is not None and _worth_keeping(result.measurement):
            self._store.put("measurement", key, to_plain(result.measurement))
        return result

    def run(self, graph: DeployGraph, x: npt.NDArray[np.float32]) -> Returned:
        """Run a graph on the device."""
        return self._device.run(graph, x)

    def bench(self) -> AbstractContextManager[Bench]:
        """Lend the device's bench; only `layer_table` here looks tables up."""
        return self._device.bench()

    def layer_table(
        self,
        graph: DeployGraph,
        bit_choices: Sequence[int],
        progress: LabelledProgress | None = None,
        *,
        equal_bits: bool = False,
    ) -> LayerTable:
        """Return the stored layer table of an equal network, or measure it.

        Raises:
            BuildError: a layer cannot be built.
            HardwareLostError: the device is gone.
            StoreError: the store cannot be read or written.
        """
        key = {**self._key(graph), "bit_choices": list(bit_choices)}
        if equal_bits:  # else the key is what it always was, and finds what was stored before
            key["equal_bits"] = True
        # The identity is that of the graph's own bits, and says nothing of the other bits' tiles.
        if tiles := digest_tiles(self._device, graph, bit_choices, equal_bits=equal_bits):
            key["tiles"] = tiles
        found = self._store.read("layer-table", key, partial(from_plain, LayerTable))
        if found is not None:
            return found
        table = measure_layer_table(
            self._device, graph, bit_choices, progress, equal_bits=equal_bits
        )
        if table.disturbed_share <= MOST_DISTURBED:
            self._store.put("layer-table", key, to_plain(table))
        return table

    def close(self) -> None:
        """Close the device."""
        self._device.close()

    def _believed(self, document: Mapping[str, Any], graph: DeployGraph) -> Measurement:
        """Return a kept measurement; ValueError where the table expects nothing like it."""
        measurement = from_plain(Measurement, document)
        if self._table is not None:
            try:
                check_expected(measurement, graph, self._table)
            except UnbelievableError as error:
                raise ValueError(str(error)) from None
        return measurement

    def _key(self, graph: DeployGraph) -> dict[str, Any]:
        return {
            "program": self._device.identity(graph),
            "layers": [op.layer for op in graph.decided_ops()],
            "machine": dict(self._device.facts()),
            "source": self._device.source,
            "protocol": asdict(self._protocol),
        }


def _worth_keeping(measurement: Measurement) -> bool:
    energy = measurement.energy
    return measurement.verdict.stable and (energy is None or energy.stable)
