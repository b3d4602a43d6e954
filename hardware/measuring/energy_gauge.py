"""EnergyGauge: what a device asks for the energy of a program, be it a meter or a named model."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hardware.energy.energy import MODELLED, Energy, modelled_energy
from hardware.energy.errors import MeterError
from hardware.energy.meter import Meter
from hardware.energy.open_meter import open_meter
from hardware.energy.window import measure_energy
from hardware.errors import HardwareLostError, TargetError
from hardware.facts import EnergyFacts
from hardware.measuring.energy_config import EnergyConfig

T = TypeVar("T")


class EnergyGauge:
    """Tells the energy of one execution. Holds no resources between two calls."""

    def __init__(self, config: EnergyConfig, meter: Meter | None) -> None:
        """Keep the meter; None for a modelled source.

        Args:
            config: How long to read it, or the model's watts.
            meter: An opened meter.
        """
        self._config = config
        self._meter = meter

    def facts(self) -> EnergyFacts:
        """Return what must be equal where energies are compared."""
        if self._meter is None:
            return {"energy_source": MODELLED, "watts": self._config.modelled_w}
        return {
            "energy_source": self._meter.source,
            "meter": self._meter.what,
            "window_s": self._config.window_s,
            "idle_s": self._config.idle_s,
        }

    def measure(self, run: Callable[[int], object], one_ms: float) -> Energy:
        """Measure or model the energy of one execution of a program.

        Args:
            run: Executes the program a number of times; not called for a model.
            one_ms: Measured milliseconds of one execution.

        Raises:
            HardwareLostError: the meter does not answer any more, or not well enough.
        """
        if self._meter is None:
            assert self._config.modelled_w is not None
            return modelled_energy(self._config.modelled_w, one_ms)
        try:
            return measure_energy(self._meter, run, one_s=one_ms / 1000.0, plan=self._config.plan)
        except MeterError as error:
            raise HardwareLostError(error.message, error.hint) from None


def open_gauge(config: EnergyConfig, root: Path = Path("/")) -> EnergyGauge | None:
    """Return the gauge of a configuration; None where it asks for none.

    Args:
        config: Names the meter.
        root: Where the tree of sensors begins, `/` but in tests.

    Raises:
        TargetError: the meter is not there or cannot be read.
    """
    if not config.known:
        return None
    if config.meter == MODELLED:
        return EnergyGauge(config, None)
    try:
        meter = open_meter(
            config.meter,
            command=config.command,
            csv=config.csv,
            interval_s=config.interval_s,
            root=root,
        )
    except MeterError as error:
        raise TargetError(f"energy.meter: {config.meter}: {error.message}", error.hint) from None
    return EnergyGauge(config, meter)
