"""python -m experiments.bench: how fast a candidate is a program, how true the layer table is."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from experiments.config import RunConfig
from experiments.errors import RunFolderError
from experiments.exit_codes import run_command
from experiments.load_config import load_config
from experiments.table_check import check_table, draw_table_check
from experiments.turnaround import draw_turnaround, measure_turnaround

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run a benchmark and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.bench",
        description="Other flags are those of python -m experiments.run, for example "
        "--target.family generic.",
    )
    parser.add_argument(
        "what",
        choices=("turnaround", "table"),
        help="turnaround: seconds from a never-seen allocation to a runnable program, beside "
        "ordinary TVM's for the float network; table: the layer table's predictions against "
        "measured random allocations",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    known, rest = parser.parse_known_args(list(arguments))
    return run_command(lambda: _bench(known.what, known.json, load_config(rest)))


def _bench(what: str, file: Path | None, config: RunConfig) -> None:
    if what == "turnaround":
        turnaround = measure_turnaround(config)
        document: dict[str, Any] = turnaround.to_dict()
        table: RenderableType = draw_turnaround(turnaround)
    else:
        check = check_table(config)
        document, table = check.to_dict(), draw_table_check(check)
    Console().print(table)
    if file is None:
        return
    try:
        file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise RunFolderError(f"cannot write {file}: {error.strerror or error}") from None
    print(f"written to {file}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
