"""A small run in a folder, its evaluations without times, and what waits for them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.record import files

SMALL = [
    *("--method", "uniform", "--evaluations", "7", "--quiet", "--target.runner", "simulated"),
    *("--task.epochs", "1", "--env.finetune.steps", "30"),
    *("--env.finetune.compensation-images", "32", "--budget.latency-ratio", "0.99"),
    *("--env.finetune.no-range-test", "--train.proposals", "3"),
]
_TIMES = ("train_s", "build_s", "measure_s")
_PATIENCE_S = 240.0


def evaluations(folder: Path) -> list[dict[str, Any]]:
    """Return what a run evaluated, in order, without the seconds that it took."""
    file = folder / files.EVALUATIONS
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [{key: row[key] for key in row if key not in _TIMES} for row in found]


def wait_for(happened: Callable[[], Any], what: str) -> Any:
    """Return what something is once it is anything.

    Raises:
        TimeoutError: it does not come.
    """
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        if found := happened():
            return found
        time.sleep(0.05)
    raise TimeoutError(f"waited {_PATIENCE_S:g} s for {what}")
