"""Device: the interface that the rest of the project measures through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hardware.layers.table import LayerTable
from hardware.measuring.measurement import Measurement, MeasurementSource
from hardware.progress import Progress
from hardware.tiles.report import TileReport
from quant.deploy_graph import DeployGraph

__all__ = ["Device", "MeasureResult"]


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


class Device(Protocol):
    """A place where programs run: this machine, a simulation, later a board."""

    @property
    def source(self) -> MeasurementSource:
        """Whether numbers are measured, simulated or emulated."""

    @property
    def name(self) -> str:
        """Short name for tables and run folders."""

    @property
    def parallel(self) -> int:
        """How many threads may call `measure` at once."""

    def facts(self) -> Mapping[str, Any]:
        """Return machine facts that travel with every measurement."""

    def identity(self, graph: DeployGraph) -> Any:
        """Return what decides a program's time, as a JSON document without its values."""

    def measure(self, graph: DeployGraph) -> MeasureResult:
        """Build, check against the integer reference, and time one candidate.

        Raises:
            HardwareLostError: the device is gone (never for a candidate's own failure).
        """

    def run(self, graph: DeployGraph, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run one candidate on `x`, float32 `[N, C, H, W]`, and return its output."""

    def tune(
        self,
        graph: DeployGraph,
        bit_choices: Sequence[int],
        progress: Progress | None = None,
        *,
        equal_bits: bool = False,
    ) -> TileReport:
        """Choose the register tiles of a network's layers by measuring, and keep the choices.

        Everything that is built afterwards has them, so this comes before the layer table.

        Args:
            graph: The converted network; random codes stand in for its weights.
            bit_choices: The widths that may be chosen.
            progress: Called after each choice.
            equal_bits: Only the pairs of equal widths (see `layer_table`).

        Returns:
            What was searched, and what the time limit left at the default.
        """

    def tiles(
        self, graph: DeployGraph, bit_choices: Sequence[int], *, equal_bits: bool = False
    ) -> str:
        """Return a digest of the tiles that the layers have at every pair of bit choices.

        With the identity of the network it says what a layer table depends on.
        """

    def layer_table(
        self,
        graph: DeployGraph,
        bit_choices: Sequence[int],
        progress: Progress | None = None,
        *,
        equal_bits: bool = False,
    ) -> LayerTable:
        """Measure every layer of `graph` at every pair of bit choices.

        The graph's own codes are not used: times do not depend on the values, so random codes of
        each width stand in for trained ones.

        Args:
            graph: The converted network.
            bit_choices: The widths that may be chosen.
            progress: Called after each part.
            equal_bits: Only the pairs of equal widths (8-bit activations where a layer reads the
                network's input): a staircase, at a seventh of the time for seven widths.
        """

    def close(self) -> None:
        """Free the device and its worker."""
