"""Tables of the runtime bench: one for each network, and the notes under them."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from experiments.bench.runtime.results import (
    NetworkRuntimes,
    RuntimeBench,
    RuntimeRow,
    best_int8_peer,
)
from experiments.bench.runtime.rounds import SLOW_MS, SLOW_REPEATS
from experiments.terminal.amx_sentence import amx_sentence
from hardware.facts import AMX_LEFT_OUT, AMX_USED
from quant.layers import FLOAT_BITS

_SATURATES = (
    "Without VNNI the peers' int8 saturates: two products summed in 16 bits (docs/integers.md). "
    "W7A8 is the like-for-like row; W8A8 is exact against saturating."
)
_EXACT = "With VNNI the peers' int8 is exact: W8A8 is the like-for-like row."
_CHECKED = (
    "Random weights and codes; every program of ours gave the integer reference's logits to the "
    "bit before it was timed. The layer that reads the images has 8-bit activations in all rows."
)
_VNNI = {"avx_vnni", "avx512_vnni"}
_AMX = "amx_int8"


def draw_runtime(bench: RuntimeBench) -> Group:
    """Draw every network's table and the notes."""
    notes = [*_notes(bench.machine), _CHECKED]
    limits = _limits_sentence(bench)
    notes += [limits] if limits else []
    return Group(*(_draw_network(network) for network in bench.networks), Text("\n".join(notes)))


def _limits_sentence(bench: RuntimeBench) -> str:
    """Say what this core can do in each family."""
    best: dict[str, float] = {}
    for network in bench.networks:
        for family, gmacs in network.limits_gmacs.items():
            best[family] = max(gmacs, best.get(family, 0.0))
    if not best:
        return ""
    words = ", ".join(f"{family} {gmacs:.0f}" for family, gmacs in sorted(best.items()))
    return (
        "Limit of this core, the steps of each family alone with all they read in the first cache, "
        f"GMAC/s: {words}. A depthwise layer counts at the limit of a convolution of its bits."
    )


def _draw_network(network: NetworkRuntimes) -> Table:
    best = best_int8_peer(network.rows)
    table = Table(
        box=box.SIMPLE,
        title=f"{network.network}, {network.macs / 1e6:.1f} MMAC, batch 1, one thread",
        title_justify="left",
        caption=_caption(network),
        caption_justify="left",
    )
    table.add_column("engine", no_wrap=True)
    table.add_column("bits w/a", no_wrap=True)
    for name in ("median ms", "IQR ms", "GMAC/s"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("share of limit", justify="right", no_wrap=True)
    if best is not None:
        table.add_column("times best int8 peer's speed", justify="right")
    for row in network.rows:
        cells = [
            row.engine,
            _bits(row),
            f"{row.latency_ms_median:.4g}" + ("*" if row.unstable else ""),
            f"{row.latency_ms_iqr:.2g}",
            f"{network.macs / row.latency_ms_median / 1e6:.1f}",
            "" if row.limit_share is None else f"{row.limit_share:.0%}",
        ]
        if best is not None:
            cells.append(f"{best.latency_ms_median / row.latency_ms_median:.2f}")
        table.add_row(*cells, style="bold" if row is best else None)
    return table


def _caption(network: NetworkRuntimes) -> str:
    """Say what the medians are of."""
    parts = [f"{network.rounds} interleaved rounds"]
    if any(row.latency_ms_median >= SLOW_MS for row in network.rows):
        parts.append(f"{min(SLOW_REPEATS, network.rounds)} of what takes over {SLOW_MS:.0f} ms")
    if disturbed := sum(row.disturbed_repeats for row in network.rows if not row.unstable):
        parts.append(f"repeats left out, as other programs slowed the machine: {disturbed}")
    if any(row.unstable for row in network.rows):
        parts.append("* not left out, for want of calm ones: do not trust it")
    return "; ".join(parts)


def _bits(row: RuntimeRow) -> str:
    if row.weight_bits == FLOAT_BITS:
        return "float32"
    return "mixed" if row.weight_bits == "mixed" else f"{row.weight_bits}/{row.activation_bits}"


def _notes(machine: Mapping[str, Any]) -> list[str]:
    notes = [str(machine["cpu"])]
    if machine["hidden"]:
        notes.append(f"{machine['hidden']}.")
    if busy := machine.get("busy"):  # older files do not say
        notes.append(f"{busy[0].upper()}{busy[1:]}.")
    if machine["machine"] in ("x86_64", "AMD64"):
        vnni = not machine["hidden"] and _VNNI.intersection(machine["cpu_features"])
        notes.append(_EXACT if vnni else _SATURATES)
    if _AMX in machine["cpu_features"] and not machine["hidden"]:
        notes.append(_amx_note(machine.get("amx", AMX_LEFT_OUT)))
    return notes


def _amx_note(state: str) -> str:
    """Say who uses AMX; where Linux refuses it to us, it does so to all."""
    ours = amx_sentence(state) or "Ours does not."
    if state not in (AMX_USED, AMX_LEFT_OUT):
        return ours
    return f"OpenVINO's and ONNX Runtime's int8 uses AMX on this CPU. {ours}"
