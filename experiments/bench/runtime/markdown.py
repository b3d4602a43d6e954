"""The runtime bench's figures as a Markdown table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.bench.peers.contender import ENGINES, Bits, Engine
from experiments.errors import RunFolderError
from quant.layers import FLOAT_BITS
from quant.records.regular_file import read_regular
from quant.records.strict_json import parse_json


def runtime_markdown(document: Mapping[str, Any]) -> str:
    """Return medians with the interquartile range in brackets, milliseconds.

    Args:
        document: See `read_runtimes`.
    """
    rows = {
        (row["network"], row["engine"], row["weight_bits"], row["activation_bits"]): row
        for row in document["rows"]
    }
    networks = list(dict.fromkeys(row["network"] for row in document["rows"]))
    # Ours first, then the peers' int8, then float32; each as they were timed.
    kinds = sorted(
        dict.fromkeys(kind[1:] for kind in rows),
        key=lambda kind: (kind[0] != "bitalloc", kind[1] == FLOAT_BITS),
    )
    lines = [
        "| ms (IQR) | " + " | ".join(networks) + " |",
        "|---|" + "---|" * len(networks),
    ]
    for kind in kinds:
        cells = [_cell(rows.get((name, *kind))) for name in networks]
        lines.append(f"| {_name(*kind)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def read_runtimes(file: Path) -> Any:
    """Return what `experiments.bench runtime --json` wrote.

    Raises:
        RunFolderError: the file is another one.
    """
    try:
        return parse_json(read_regular(file))
    except (OSError, ValueError) as error:
        raise RunFolderError(f"expected a file of bench runtime, found {file}: {error}") from None


def _name(engine: Engine, weight_bits: Bits, activation_bits: Bits) -> str:
    if engine == "bitalloc":
        return "**mixed**" if weight_bits == "mixed" else f"**W{weight_bits}A{activation_bits}**"
    return f"{ENGINES[engine]} {'fp32' if weight_bits == FLOAT_BITS else 'int8'}"


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    star = "\\*" if row.get("unstable") else ""
    return f"{_short(row['latency_ms_median'], 3)}{star} ({_short(row['latency_ms_iqr'], 2)})"


def _short(value: float, digits: int) -> str:
    """Return a number with a few digits and no exponent."""
    return f"{value:.0f}" if value >= 10 ** (digits - 1) else f"{value:.{digits}g}"
