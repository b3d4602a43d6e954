"""The main job on a board, as a process whose board a test takes away."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hardware.measuring.measurement import Measurement
from quant.records.json_form import from_plain

_ROOT = Path(__file__).resolve().parents[3]
EVALUATIONS = 5
_LIMIT_S = 400.0
_FLAGS = [
    *("--config", "experiments/configs/smoke.yaml", "--quiet", "--method", "random"),
    *("--evaluations", str(EVALUATIONS), "--env.bit-choices", "4", "8", "--no-tune"),
    *("--env.finetune.compensation-images", "32", "--env.finetune.held-back-images", "50"),
    *("--env.finetune.steps", "20", "--protocol.repeats", "5", "--protocol.min-repeat-ms", "2"),
    *(
        "--protocol.timeout-s",
        "10",
        "--budget.latency-ratio",
        "20",
        "--target.board",
        "same-cpu",
        "--target.key",
        "desk",
    ),
]


class Job:
    """`python -m experiments.run`, started at once."""

    def __init__(
        self,
        output: Path,
        tracker: str,
        *flags: str,
        store: Path,
        reconnect_s: float = 15.0,
        module: str = "experiments.run",
    ) -> None:
        place = ["--output", str(output), "--store", str(store), "--target.tracker", tracker]
        limits = ["--target.reconnect-s", str(reconnect_s)]
        self.output, self.store = output, store
        self._start([module, *_FLAGS, *place, *limits, *flags])

    def _start(self, command: Sequence[str]) -> None:
        self._log = self.output.parent / f"{self.output.name}-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=_ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def folder(self) -> Path:
        return (self.output / "latest").resolve()

    def told(self) -> str:
        return self._log.read_text()

    def rows(self) -> list[dict[str, Any]]:
        """Return the finished evaluations."""
        file = self.folder / "evaluations.jsonl"
        if not file.exists():
            return []
        return [json.loads(line) for line in file.read_text().splitlines()]

    def wait_for_rows(self, count: int) -> None:
        deadline = time.monotonic() + _LIMIT_S
        while len(self.rows()) < count:
            assert self.process.poll() is None, self.told()[-3000:]
            assert time.monotonic() < deadline, self.told()[-3000:]
            time.sleep(0.02)

    def exit_code(self) -> int:
        try:
            return self.process.wait(timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            raise AssertionError(f"the run does not end: {self.told()[-3000:]}") from None

    def resume(self) -> int:
        """Go on in the same folder; return the exit code."""
        self._start(["experiments.run", "--resume", str(self.folder)])
        return self.exit_code()


def check_rows(rows: Sequence[dict[str, Any]], count: int = EVALUATIONS) -> None:
    """Check that each evaluation is there once, in order, measured and without an error."""
    assert [row["index"] for row in rows] == list(range(count))
    assert not [row["error"] for row in rows if row["error"]]
    allocations = [json.dumps(row["allocation"], sort_keys=True) for row in rows]
    assert len(set(allocations)) == count
    for row in rows:
        assert row["measurement"]["source"] == "measured"
        assert len(row["measurement"]["values_ms"]) >= 5


def check_store(store: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Check that every measurement in the store is a stable one that a row has, too."""
    values = {tuple(row["measurement"]["values_ms"]) for row in rows if row["measurement"]}
    with sqlite3.connect(store) as connection:
        found = connection.execute("SELECT document FROM results WHERE kind = 'measurement'")
        kept = [from_plain(Measurement, json.loads(text)) for (text,) in found]
    for measurement in kept:
        assert measurement.verdict.stable
        assert measurement.values_ms in values


def without_evaluations(store: Path, copy: Path) -> Path:
    """Copy a store and leave only its layer table, so that everything else is paid for again."""
    with sqlite3.connect(store) as source, sqlite3.connect(copy) as target:
        source.backup(target)
        target.execute("DELETE FROM results WHERE kind != 'layer-table'")
    return copy
