"""Hindsight: measurements judged by the fastest that the machine was seen around any of them."""

import math
from collections.abc import Sequence
from dataclasses import replace

from hardware.facts import RulerFacts
from hardware.measuring.measurement import Measurement
from hardware.measuring.ruler import slowdown_around


def in_hindsight(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Return the same measurements with what is known of the machine's best after the last one.

    A process that begins in a slow minute takes it for the machine's best. The first timings then
    pass as undisturbed, and the later, faster ones are held beside them.
    """
    best_us: dict[str, float] = {}
    for item in measurements:
        board, ruler = item.facts.get("board", ""), item.facts.get("ruler", {})
        best_us[board] = min(best_us.get(board, math.inf), ruler.get("best_us", math.inf))
    return [_held_against(item, best_us[item.facts.get("board", "")]) for item in measurements]


def _held_against(measurement: Measurement, best_us: float) -> Measurement:
    ruler = measurement.facts.get("ruler", {})
    slowdown = slowdown_around(ruler.get("before_us", 0.0), ruler.get("after_us", 0.0), best_us)
    if slowdown <= ruler.get("slowdown", 1.0):
        return measurement
    known: RulerFacts = {**ruler, "best_us": best_us, "slowdown": slowdown}
    return replace(measurement, facts={**measurement.facts, "ruler": known})
