"""`evaluate` with a cluster: the table of one process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.record import files
from experiments.terminal.exit_codes import DONE

_RUN = (
    *("--method", "random", "--evaluations", "1", "--quiet", "--target.runner", "simulated"),
    *("--task.epochs", "1", "--budget.latency-ratio", "0.9", "--env.bit-choices", "4", "8"),
    *("--env.finetune.steps", "1", "--env.finetune.held-back-images", "50"),
    *("--env.finetune.compensation-images", "0", "--env.finetune.no-range-test"),
    *("--final.steps", "20", "--final.held-back-images", "50"),
)
_TWO = ("--train.ray", "auto", "--train.workers", "2")


def _command(module: str, cache: Path, *arguments: str) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"}
    environment |= {"RAY_worker_niceness": "0"}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == DONE, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_workers_retrain_answers_as_one_process_does(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    cache, output = tmp_path / "cache", tmp_path / "runs"
    _command("experiments.run", cache, *_RUN, "--output", str(output))
    folder, found = output / "latest", []
    for flags in ((), _TWO):
        _command("experiments.evaluate", cache, str(folder), "--quiet", *flags)
        document: dict[str, Any] = json.loads((folder / files.TEST_RESULTS).read_text())
        found.append({key: document[key] for key in ("retraining", "allocations", "steps")})
        found[-1]["rows"] = [
            {key: value for key, value in row.items() if "ms" not in key and "latency" not in key}
            for row in document["rows"]
        ]
    assert found[0] == found[1]
    assert len(found[0]["retraining"]) > 2
