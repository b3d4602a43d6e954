"""LocalEnergy: the energy of programs in the worker process, read from outside of it."""

from collections.abc import Callable
from typing import Any

from hardware.energy.energy import Energy
from hardware.measuring.energy_config import EnergyConfig
from hardware.measuring.energy_gauge import open_gauge
from hardware.measuring.lock import timing_lock

__all__ = ["LocalEnergy"]

_SLOWER = 10.0
"""How much slower than it was timed a program may become in an energy window."""


class LocalEnergy:
    """Reads a meter while the worker executes the program that was built last."""

    def __init__(self, config: EnergyConfig, execute: Callable[[int, float], Any]) -> None:
        """Open the meter, if there is to be one.

        Args:
            config: Names the meter.
            execute: `(loops, most seconds)`: lets the worker execute its program.

        Raises:
            TargetError: the meter is not there or cannot be read.
        """
        self._gauge = open_gauge(config)
        self._execute = execute
        self.programs = config.layer_programs
        """How many programs get a window for the layer table."""

    @property
    def known(self) -> bool:
        """Whether there is a meter, or a model that was named."""
        return self._gauge is not None

    def facts(self) -> dict[str, Any]:
        """Return the facts of the meter, as `energy`; nothing where there is none."""
        return {} if self._gauge is None else {"energy": self._gauge.facts()}

    def measure(self, one_ms: float) -> Energy | None:
        """Return the energy of one execution; None without a meter.

        Raises:
            HardwareLostError: the meter does not answer any more.
            WorkerLostError: the worker died.
        """
        if self._gauge is None:
            return None

        def execute(loops: int) -> None:
            self._execute(loops, _SLOWER * loops * one_ms / 1000.0)

        with timing_lock():  # nothing else of ours may draw power, nor while the device idles
            return self._gauge.measure(execute, one_ms)
