"""Runs that are killed again and again end as one that nobody disturbed."""

import json
import random
import signal
import time
from pathlib import Path

import pytest

from experiments import run as run_module
from experiments.record import files
from experiments.terminal.exit_codes import DONE
from tests.experiments.run.test_resume import (
    LIMIT,
    begin,
    check_complete,
    config_file,
    only_run,
    rows,
    start,
    wait_for_rows,
)

KILLS = 20
FIGURES = ("allocation", "score", "loss", "beside_reference", "latency_ms", "proposer")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("method", ["random", "nsga2"])
def test_twenty_kills_change_no_figure(tmp_path: Path, method: str) -> None:
    """Of methods that draw by their seed alone; what PPO has learnt depends on the kills."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for output in (whole, killed):
        output.mkdir()
    arguments = ["--config", str(config_file(whole, method)), "--output", str(whole)]
    assert run_module.main(arguments) == DONE
    moments = random.Random(7)
    folder, process = begin(killed, method)
    for _ in range(KILLS):
        # From the first file of all to the last: a start takes seconds, an evaluation a fraction.
        if moments.random() < 0.6:
            at_least = len(rows(folder)) + moments.choice((0, 1))
            wait_for_rows(folder, min(at_least, LIMIT), process)
        time.sleep(moments.expovariate(2.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        process = start("--resume", str(folder))
    _, errors = process.communicate(timeout=300)
    assert process.returncode == DONE, errors.decode()
    check_complete(folder, killed)
    first, second = rows(only_run(whole)), rows(folder)
    assert [[r[f] for f in FIGURES] for r in first] == [[r[f] for f in FIGURES] for r in second]
    one, other = (_best(only_run(whole)), _best(folder))
    assert one == other


def _best(folder: Path) -> object:
    return json.loads((folder / files.BEST_ALLOCATION).read_text())
