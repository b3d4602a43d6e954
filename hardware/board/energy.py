"""Energy on the board: its own meters, read here, where nothing of the connection is in between.

Whatever a meter says of itself goes back as a value, so that the host can tell it from a session
that ended.
"""

import json
from typing import Any

from hardware.board.programs import Programs
from hardware.energy.errors import MeterError
from hardware.energy.meter import Meter
from hardware.energy.open_meter import open_meter
from hardware.energy.window import WindowPlan, measure_energy

_meters: dict[str, Meter] = {}
"""Meters of this session, by what was asked for: opening one reads it once."""


def describe_meter(settings: str) -> str:
    """Return JSON of a meter: `energy_source` and `meter`, or `error` and `hint`.

    Args:
        settings: JSON with the arguments of `open_meter`.
    """
    try:
        meter = _open(settings)
    except MeterError as error:
        return _tell(error)
    return json.dumps({"energy_source": meter.source, "meter": meter.what})


def measure_program(
    programs: Programs, name: str, settings: str, one_ms: float, window_s: float, idle_s: float
) -> str:
    """Run a program many times in one energy window; return JSON of the Energy, or the error.

    Args:
        programs: What the session has loaded.
        name: Of the program.
        settings: JSON with the arguments of `open_meter`.
        one_ms: About how long one execution takes.
        window_s: Shortest window.
        idle_s: Shortest look at the idle board before it.
    """
    program = programs[name]
    try:
        energy = measure_energy(
            _open(settings),
            lambda loops: program.time_repeats(loops, 1),
            one_s=one_ms / 1000.0,
            plan=WindowPlan(window_s=window_s, idle_s=idle_s),
        )
    except MeterError as error:
        return _tell(error)
    return json.dumps(energy.to_dict())


def _open(settings: str) -> Meter:
    if settings not in _meters:
        arguments: dict[str, Any] = json.loads(settings)
        _meters[settings] = open_meter(arguments.pop("kind"), **arguments)
    return _meters[settings]


def _tell(error: MeterError) -> str:
    return json.dumps({"error": error.message, "hint": error.hint})
