"""Device: the interface that the rest of the project measures through."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hardware.energy.energy import Energy
from hardware.facts import MachineFacts
from hardware.graph.tensor_widths import BitPair
from hardware.layers.table import LayerTable
from hardware.measuring.measurement import Measurement, MeasurementSource
from hardware.progress import LabelledProgress
from hardware.runtime.returned import Returned
from hardware.tile_search.report import TileReport
from quant.deploy_graph import DeployGraph


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureResult:
    """Outcome of building and timing one candidate: a measurement or an error, never both."""

    measurement: Measurement | None = None
    error: str = ""
    """Why the candidate has no measurement (does not build, wrong result, crashed, timed out)."""
    build_s: float = 0.0
    """Seconds from the graph to a loaded program, packing of the weights included."""
    measure_s: float = 0.0
    """Seconds spent running it, check of the result included."""
    cached: bool = False
    """True when the measurement is a stored one of an equal program."""


class Bench(Protocol):
    """What a device lends to `hardware.measure_layers`, for work on many programs in turn."""

    @property
    def energy_programs(self) -> int:
        """How many whole programs get an energy window for a layer table; 0 without a meter."""

    def search_tiles(
        self,
        graph: DeployGraph,
        pairs: Mapping[str, Sequence[BitPair]],
        progress: LabelledProgress | None = None,
    ) -> TileReport:
        """Choose the layers' register tiles at their bit pairs, and keep the choices."""

    def tiles(self, graph: DeployGraph, pairs: Mapping[str, Sequence[BitPair]]) -> str:
        """Return a digest of the tiles that the layers have at their bit pairs."""

    def time_layers(
        self,
        graph: DeployGraph,
        bit_choices: Sequence[int],
        progress: LabelledProgress | None = None,
        *,
        equal_bits: bool = False,
    ) -> LayerTable:
        """Measure the times of a layer table."""

    def sample_energy(self, graph: DeployGraph) -> tuple[Energy, float]:
        """Build a graph and return its energy and the milliseconds of one execution."""


class Device(Protocol):
    """A place where programs run: this machine, boards, a simulation."""

    @property
    def source(self) -> MeasurementSource:
        """Whether numbers are measured, simulated or emulated."""

    @property
    def name(self) -> str:
        """Short name for tables and run folders."""

    @property
    def parallel(self) -> int:
        """How many threads may call `measure` at once."""

    def facts(self) -> MachineFacts:
        """Return machine facts that travel with every measurement."""

    def identity(self, graph: DeployGraph) -> Any:
        """Return what decides a program's time, as a JSON document without its values."""

    def measure(self, graph: DeployGraph) -> MeasureResult:
        """Build, check against the integer reference, and time one candidate.

        Raises:
            HardwareLostError: the device is gone (never for a candidate's own failure).
        """

    def run(self, graph: DeployGraph, x: npt.NDArray[np.float32]) -> Returned:
        """Run one candidate on `x`, float32 `[N, C, H, W]`, and return what it returns."""

    def bench(self) -> AbstractContextManager[Bench]:
        """Lend what the layers of a network are measured with."""

    def close(self) -> None:
        """Free the device and its worker."""
