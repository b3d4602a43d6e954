"""A run in TensorBoard's hparams tab, and tags that no two writers share."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from experiments.errors import RunFolderError
from experiments.record.curves import read_curves
from experiments.record.hparams import hparams_of, write_hparams
from experiments.record.run_folder import RunFolder
from tests.experiments.run_folders import make_run


def tags_by_file(folder: Path) -> dict[Path, set[str]]:
    """List the tags of scalars, images and settings of each event file."""
    found = {}
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        accumulator = EventAccumulator(str(file))
        accumulator.Reload()
        tags = accumulator.Tags()
        settings = accumulator.PluginTagToContent("hparams") if _has_hparams(tags) else {}
        found[file] = {*tags["scalars"], *tags["images"], *tags["tensors"], *settings}
    return found


def _has_hparams(tags: dict[str, object]) -> bool:
    scalars = tags["scalars"]
    assert isinstance(scalars, list)
    return any(tag.startswith("chosen/") for tag in scalars)


def test_settings_and_figures_are_read_back(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write_hparams(run)
    best = run.read_json("results.json")["rows"][-1]
    curves = read_curves(run.events)
    assert curves["chosen/accuracy"].values == pytest.approx((best["score"],))
    assert curves["chosen/latency_ms"].values == pytest.approx((best["latency_ms"],))
    (file,) = run.events.glob("*.hparams")
    accumulator = EventAccumulator(str(file))
    accumulator.Reload()
    content = accumulator.PluginTagToContent("hparams")
    start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
    assert start.hparams["method"].string_value == "ppo"
    assert start.hparams["seed"].number_value == 0
    assert start.hparams["source"].string_value == "simulated"
    assert start.hparams["budget.latency_ms"].number_value == pytest.approx(0.09)
    assert start.hparams["env.bit_choices"].string_value == "2 3 4 5 6 7 8"
    experiment = metadata.parse_experiment_plugin_data(content[metadata.EXPERIMENT_TAG])
    columns = {info.name.tag for info in experiment.metric_infos}
    assert columns == {tag for tag in curves if tag.startswith("chosen/")}
    assert {info.name for info in experiment.hparam_infos} == set(start.hparams)
    end = metadata.parse_session_end_info_plugin_data(content[metadata.SESSION_END_INFO_TAG])
    assert end.status == 1  # STATUS_SUCCESS


def test_no_tag_has_two_writers(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write_hparams(run)
    writers = list(tags_by_file(run.events).values())
    assert len(writers) == 2
    assert all(writers)
    assert len(set().union(*writers)) == sum(len(tags) for tags in writers)


def test_an_unknown_setting_is_left_out() -> None:
    results = {"rows": [{"source": "measured"}], "budget": {"latency_ms": None, "model_bytes": 9}}
    found = hparams_of({"method": "random", "env": None}, results)
    assert found == {"source": "measured", "method": "random", "budget.model_bytes": 9.0}


def test_an_unfinished_run_has_no_line(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(RunFolderError, match=r"results\.json"):
        write_hparams(run)
