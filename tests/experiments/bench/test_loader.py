"""Whether images come as soon as they are trained on: small, over a made-up folder."""

import json
from pathlib import Path

import pytest

from experiments.bench import command as bench
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from tests.env.tasks.streaming.made_up import make_folder

_FOLDER = (
    *("--task.name", "image-folder", "--task.network", "depthwise", "--task.image-size", "32"),
    *("--task.epochs", "0", "--quiet", "--env.finetune.batch-size", "16"),
    *("--env.calibration-images", "16", "--rounds", "2", "--batches", "3"),
)


def test_four_rates_are_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, file = make_folder(tmp_path, 400), tmp_path / "loader.json"
    flags = [*_FOLDER, "--task.data", str(folder)]
    assert bench.main(["loader", *flags, "--task.cache-mb", "1", "--json", str(file)]) == DONE
    document = json.loads(file.read_text())
    for name in ("read", "trained", "in_memory", "picked"):
        assert len(document[name]) == 2
        assert min(document[name]) > 0
    assert document["read_share"] > 0
    assert document["memory_share"] > 0
    assert "trained on by one thread" in capsys.readouterr().out
    assert bench.main(["loader", *flags]) == USER_MISTAKE
    assert "found all of them in memory" in capsys.readouterr().err
