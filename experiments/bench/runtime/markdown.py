"""The runtime bench as a Markdown table: python -m experiments.bench.runtime.markdown FILE.json."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.errors import RunFolderError
from experiments.terminal.exit_codes import run_command

__all__ = ["main", "runtime_markdown"]

_OURS: tuple[tuple[str, int | str, int | str], ...] = (
    ("bitalloc", 8, 8),
    ("bitalloc", 7, 8),
    ("bitalloc", 6, 6),
    ("bitalloc", 4, 4),
    ("bitalloc", 2, 2),
    ("bitalloc", "mixed", "mixed"),
)
_PEERS = (
    ("onnxruntime", 8, 8),
    ("openvino", 8, 8),
    ("onnxruntime", 32, 32),
    ("openvino", 32, 32),
    ("torch", 32, 32),
    ("tvm", 32, 32),
)
_NAMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "torch": "PyTorch", "tvm": "TVM"}


def runtime_markdown(document: Mapping[str, Any]) -> str:
    """Return medians with the interquartile range in brackets, milliseconds.

    Args:
        document: What `experiments.bench runtime --json` wrote.
    """
    rows = {
        (row["network"], row["engine"], row["weight_bits"], row["activation_bits"]): row
        for row in document["rows"]
    }
    networks = list(dict.fromkeys(row["network"] for row in document["rows"]))
    kinds = [kind for kind in (*_OURS, *_PEERS) if any((name, *kind) in rows for name in networks)]
    lines = [
        "| ms (IQR) | " + " | ".join(networks) + " |",
        "|---|" + "---|" * len(networks),
    ]
    for kind in kinds:
        cells = [_cell(rows.get((name, *kind))) for name in networks]
        lines.append(f"| {_name(*kind)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Print the table of one file."""
    if len(arguments) != 1:
        print("usage: python -m experiments.bench.runtime.markdown FILE.json", file=sys.stderr)
        return 2
    return run_command(lambda: print(runtime_markdown(_read(Path(arguments[0]))), end=""))


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(f"expected a file of bench runtime, found {file}: {error}") from None


def _name(engine: str, weight_bits: int | str, activation_bits: int | str) -> str:
    if engine == "bitalloc":
        return "**mixed**" if weight_bits == "mixed" else f"**W{weight_bits}A{activation_bits}**"
    return f"{_NAMES[engine]} {'fp32' if weight_bits == 32 else 'int8'}"


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    star = "\\*" if row.get("unstable") else ""
    return f"{_short(row['latency_ms_median'], 3)}{star} ({_short(row['latency_ms_iqr'], 2)})"


def _short(value: float, digits: int) -> str:
    """Return a number with a few digits and no exponent."""
    return f"{value:.0f}" if value >= 10 ** (digits - 1) else f"{value:.{digits}g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
