"""A run of one's own data says what was made of them, and trains nothing that does not fit."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from torch import nn

from experiments.run import main
from experiments.terminal.exit_codes import DONE, USER_MISTAKE

SMALL = (
    *("--task.name", "own", "--task.data", "my_run:data", "--task.model", "my_run:network"),
    *("--target.runner", "simulated", "--protocol.repeats", "5", "--quiet", "--method", "uniform"),
    *("--env.finetune.compensation-images", "32", "--env.finetune.held-back-images", "20"),
    *("--env.bit-choices", "4", "8", "--env.finetune.steps", "1", "--task.epochs", "1"),
)


def test_what_was_made_of_own_data_is_said_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    pixels = (rng.integers(0, 80, (120, 8, 8, 3)) + labels[:, None, None, None] * 80).astype(
        "uint8"
    )
    mine = ModuleType("my_run")
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    vars(mine).update(
        network=lambda: nn.DataParallel(network),
        data=lambda: {part: (pixels, labels * 50) for part in ("train", "test")},
    )
    monkeypatch.setitem(sys.modules, "my_run", mine)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = (*SMALL, "--output", str(tmp_path / "runs"))
    assert main(arguments) == DONE
    notes = ("inputs: channels moved first", "labels: 0, 50, 100 are counted as classes 0 to 2")
    printed, log = capsys.readouterr().out, (tmp_path / "runs/latest/run.log").read_text()
    for note in notes:
        assert note in printed
        assert note in log

    (tmp_path / "w.pth").write_text("<!DOCTYPE html>")
    assert main([*arguments, "--task.weights", str(tmp_path / "w.pth")]) == USER_MISTAKE
    assert "is a web page" in capsys.readouterr().err

    kept = set(tmp_path.rglob("*.safetensors"))
    network.append(nn.Linear(3, 2))
    assert main(arguments) == USER_MISTAKE
    error = capsys.readouterr().err
    assert "labels from 0 to 1, as the network has 2 outputs, found 0, 50, 100" in error
    assert "Traceback" not in error
    assert set(tmp_path.rglob("*.safetensors")) == kept, "nothing was trained"
