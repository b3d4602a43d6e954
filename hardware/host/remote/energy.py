"""BoardEnergy: energies of programs on a board, by a meter there or one connected here."""

import json

from hardware.energy.energy import Energy
from hardware.errors import HardwareLostError, TargetError
from hardware.facts import EnergyFacts
from hardware.host.worker_bench import Call
from hardware.measuring.energy_config import EnergyConfig
from hardware.measuring.energy_gauge import open_gauge
from hardware.measuring.protocol import ProtocolConfig


class BoardEnergy:
    """Asks the board where it has the meter, else reads ours while the board works."""

    def __init__(self, config: EnergyConfig) -> None:
        """Open the meter where it is connected here.

        Raises:
            TargetError: it is not there or cannot be read.
        """
        self.layer_programs = config.layer_programs
        """How many programs get a window for a layer table."""
        self._config = config
        self._gauge = None if config.on_board else open_gauge(config)

    def facts(self, call: Call) -> EnergyFacts:
        """Return what must be equal where energies are compared.

        Raises:
            TargetError: the board does not have the meter, or cannot read it.
        """
        if self._gauge is not None:
            return self._gauge.facts()
        found: EnergyFacts = call("meter", self._settings)
        if "error" in found:
            raise TargetError(
                f"energy.meter: {self._config.meter} on the board: {found['error']}", found["hint"]
            )
        return {**found, "window_s": self._config.window_s, "idle_s": self._config.idle_s}

    def measure(self, call: Call, one_ms: float) -> Energy:
        """Return the energy of one execution of the program that was built last.

        Args:
            call: Of a session with the board.
            one_ms: Milliseconds of one execution.

        Raises:
            HardwareLostError: the meter does not answer any more, or not well enough.
        """
        if self._gauge is not None:
            return self._gauge.measure(lambda loops: call("execute", loops), one_ms)
        plan = self._config.plan
        found = call(
            "energy",
            self._settings,
            one_ms,
            plan.window_s,
            plan.idle_s,
            self._config.longest_window_s,
        )
        if "error" in found:
            raise HardwareLostError(found["error"], found["hint"])
        try:
            return Energy.from_dict(found)
        except (ValueError, KeyError, TypeError) as error:
            raise HardwareLostError(
                f"expected the energy of a program from the board's meter, found {error}",
                "look at the board's meter: python -m experiments.boards doctor",
            ) from None

    @property
    def _settings(self) -> str:
        config = self._config
        return json.dumps(
            {
                "kind": config.meter,
                "command": config.command,
                "csv": config.csv,
                "interval_s": config.interval_s,
            }
        )


def open_board_energy(
    config: EnergyConfig, protocol: ProtocolConfig, boards: int
) -> BoardEnergy | None:
    """Return what tells the energies of boards; None where the configuration asks for none.

    Args:
        config: Names the meter.
        protocol: Gives how long a board may be silent.
        boards: How many are used at once.

    Raises:
        TargetError: one meter for several boards, or a part of its window that is too long.
    """
    if not config.known:
        return None
    here = not config.on_board and config.meter != "modelled"
    if here and boards > 1:
        raise TargetError(
            f"energy.meter: one {config.meter} meter here cannot tell {boards} boards apart",
            "use target.boards=1, or meters that the boards have themselves",
        )
    if here and config.longest_silence_s >= protocol.timeout_s:
        raise TargetError(
            f"energy.window_s: a part of the window lasts {config.longest_silence_s:g} s, and a "
            f"board that is silent for protocol.timeout_s={protocol.timeout_s:g} s is given up",
            "shorten the window or raise protocol.timeout_s",
        )
    return BoardEnergy(config)
