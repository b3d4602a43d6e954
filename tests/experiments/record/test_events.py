from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments.charts.bits import bits_chart
from experiments.errors import RunFolderError
from experiments.record.curves import read_curves
from experiments.stages.event_log import EventLog
from tests.experiments.evaluations import allocation
from tests.experiments.run_folders import image_tags


def test_curves_read_back_what_was_written(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        for step in range(12):
            log.scalars({"evaluation/accuracy": 0.5 + step / 100, "reward/floor": None}, step)
        log.scalars({"evaluation/latency_ms": float("nan")}, 1)
        log.chart("bits/best", bits_chart(allocation(4), "best"), 3)
    curves = read_curves(tmp_path)
    assert list(curves) == ["evaluation/accuracy"]
    assert curves["evaluation/accuracy"].steps == tuple(range(12))
    assert curves["evaluation/accuracy"].values[-1] == pytest.approx(0.61)
    assert np.isfinite(curves["evaluation/accuracy"].values).all()
    assert image_tags(tmp_path) == {"bits/best"}


def test_two_event_files_of_one_second_are_both_read(tmp_path: Path) -> None:
    for tag in ("first/value", "second/value"):
        with EventLog(tmp_path / tag.split("/")[0]) as log:
            log.scalars({tag: 1.0}, 0)
    assert set(read_curves(tmp_path)) == {"first/value", "second/value"}


def test_a_mean_of_weight_bits_says_what_float_counts_as(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.scalars({"best/mean_weight_bits": 18.0, "best/reward": 0.5}, 1)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert events.Scalars("best/mean_weight_bits")[0].value == 18.0
    assert set(read_curves(tmp_path)) == {"best/mean_weight_bits", "best/reward"}
    found = events.SummaryMetadata("best/mean_weight_bits")
    assert found.plugin_data.plugin_name == "scalars"
    assert "float count as 32" in found.summary_description


def test_a_folder_without_events_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no TensorBoard event file"):
        read_curves(tmp_path)
