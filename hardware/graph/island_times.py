"""What float islands take inside a program, the way into and out of float included."""

from collections.abc import Iterable, Sequence
from typing import Any

from hardware.graph.program_steps import Step
from quant.deploy_graph import Dequantize, FloatCall, QuantizeInput


def island_key(name: str) -> str:
    """Return the name of an island beside those of layers."""
    return f"island {name}"


def island_times(called: Sequence[Step], times_us: Iterable[Any]) -> dict[str, float]:
    """Return the microseconds of each float island, by `island_key`.

    A tensor that several islands read is dequantized for the first of them.

    Args:
        called: The steps of a program.
        times_us: What each of them took.
    """
    owners: dict[str, str] = {}
    for step in called:
        if isinstance(step.op, FloatCall):
            owners[step.op.output] = step.op.island
            for name in step.op.inputs:
                owners.setdefault(name, step.op.island)
    times: dict[str, float] = {}
    for step, taken_us in zip(called, times_us, strict=True):
        op = step.op
        if isinstance(op, FloatCall | Dequantize):
            owner = owners.get(op.output)
        elif isinstance(op, QuantizeInput):
            owner = owners.get(op.input)
        else:
            continue
        if owner is not None:
            key = island_key(owner)
            times[key] = times.get(key, 0.0) + float(taken_us)
    return times
