"""Recorder: what the progress line says of the best so far."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from env.decisions.budget import Budget
from env.evaluating.accounting import TABLE_ROW
from experiments.record.run_folder import RunFolder
from experiments.settings.run_config import RunConfig
from experiments.stages.event_log import EventLog
from experiments.stages.measured import Measured
from experiments.stages.places import Places
from experiments.stages.recorder import Recorder
from experiments.stages.resource_budget import DecidedBudget
from experiments.terminal.progress import LiveProgress
from hardware.layers.table import LayerTable
from tests.experiments.evaluations import allocation, evaluation
from tests.experiments.terminal.wide_terminal import wide_terminal

NOTHING: Any = None
"""A device and a store: a recorder asks for none."""


def test_a_run_that_goes_on_shows_the_best_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = wide_terminal(monkeypatch)
    config = RunConfig(output=str(tmp_path), evaluations=3)
    times = {name: {(bits, 8): bits / 8 for bits in (2, 4, 6, 8)} for name in ("first", "second")}
    measured = Measured(
        table=LayerTable(times_us=times, overhead_us=1.0, source="simulated", disturbed_share=0.0),
        decided=DecidedBudget(budget=Budget(latency_ms=0.7), reason=""),
    )
    past = [
        evaluation(0, allocation(8), score=0.95, latency_ms=1.0),
        evaluation(1, allocation(4), score=0.9, latency_ms=0.5),
    ]
    with (
        EventLog(tmp_path / "tb") as events,
        LiveProgress(quiet=False, clock=lambda: 0.0) as progress,
    ):
        places = Places(
            device=NOTHING,
            store=NOTHING,
            folder=RunFolder.create(config, "here"),
            events=events,
            progress=progress,
            shared_progress=progress,
        )
        recorder = Recorder(config, measured, places, past)
        recorder(evaluation(2, allocation(2), score=0.5, latency_ms=0.3))
        row = evaluation(3, allocation(6), score=0.92, latency_ms=0.8)
        recorder(replace(row, proposer=TABLE_ROW))
    shown = stream.getvalue()
    assert "best 90.00 % at 0.5000 ms" in shown
    assert "nothing inside" not in shown
    assert "3/3" in shown
    assert "4/3" not in shown
