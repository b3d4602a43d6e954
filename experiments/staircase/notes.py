"""Notes: what a reader of a staircase must know besides its numbers."""

from collections.abc import Iterator

from experiments.staircase.staircase import Staircase
from experiments.staircase.summary import RULE
from hardware.kernels.planning.family_history import FALL_BACK, never_run
from hardware.stored_device import MOST_DISTURBED


def notes(staircase: Staircase) -> Iterator[str]:
    """Yield one line for each thing that is special about these numbers."""
    yield f"ratio: time at 8 bits over time at these bits; all layers: {RULE}."
    if any(layer.spreads_us for layer in staircase.layers):
        yield "spread: from the quietest round of a timing to the middle one, weighted alike."
    if staircase.source == "modelled":
        yield (
            "modelled: cycles by LLVM's llvm-mca at the board's clock, as if all data were in the "
            "first cache; nothing ran (see docs/kernels.md)."
        )
    elif staircase.source != "measured":
        yield f"These are {staircase.source} times and no device's own."
    if any(layer.reads_input for layer in staircase.layers):
        yield "* reads the network's input, whose 8 bits are fixed: only its weight bits change."
    if short := [layer.name for layer in staircase.layers if not layer.timed]:
        yield f"Not longer than an empty program and not counted: {', '.join(short)}."
    if staircase.overhead_us is not None:
        yield (
            f"Everything that is no layer takes {staircase.overhead_us:.4g} µs more and is in no "
            "row and no ratio."
        )
    if share := staircase.disturbed_share:
        hint = ": repeat it on a quiet machine" if share > MOST_DISTURBED else ""
        yield f"{share:.0%} of the timings were disturbed by other programs{hint}."
    if slow := _cells_of(staircase, FALL_BACK):
        yield f"{FALL_BACK} is the fall-back where nothing faster is written: {slow}."
    families = {name for layer in staircase.layers for name in layer.families.values()}
    checked = "Here each program gave the integer reference's result before it was timed."
    if names := sorted(never_run(families)):
        here = "" if staircase.source == "modelled" else f" {checked}"
        yield f"Never timed on a machine of this project's: {', '.join(names)}.{here}"


def _cells_of(staircase: Staircase, family: str) -> str:
    """Return which layers use a family, and at which bits where it is not all."""
    parts = []
    for layer in staircase.layers:
        used = sorted(pair for pair, name in layer.families.items() if name == family)
        if not used:
            continue
        pairs = " ".join(f"{weight}/{activation}" for weight, activation in used)
        parts.append(layer.name + ("" if len(used) == len(layer.times_us) else f" at {pairs}"))
    return ", ".join(parts)
