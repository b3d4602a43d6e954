"""Files that changed under a run: it does not go on with them, and evaluate says so."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import evaluate as evaluate_module
from experiments import run as run_module
from experiments.terminal.exit_codes import DONE, USER_MISTAKE

SMALL = (
    *("--task.name", "own", "--task.network", "digits", "--task.data", "data.npz"),
    *("--task.epochs", "1", "--protocol.repeats", "5", "--protocol.min-repeat-ms", "1", "--quiet"),
    *("--env.finetune.compensation-images", "32", "--env.finetune.held-back-images", "20"),
    *("--env.finetune.steps", "2", "--final.steps", "2", "--env.bit-choices", "4", "8"),
    *("--method", "uniform", "--no-tune", "--env.calibration-images", "64"),
)


def write_data(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.arange(200) % 3
    images = rng.normal(labels[:, None, None, None] - 1, 1.0, (len(labels), 1, 8, 8))
    images = images.astype("float32")
    parts = {"train": slice(0, 120), "search": slice(120, 160), "test": slice(160, None)}
    given: Any = {f"{part}_inputs": images[place] for part, place in parts.items()}
    given |= {f"{part}_labels": labels[place] for part, place in parts.items()}
    np.savez("data.npz", allow_pickle=False, **given)


def test_changed_images_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_data(0)
    assert run_module.main(SMALL) == DONE
    assert evaluate_module.main(["runs/latest", "--quiet"]) == DONE
    assert "changed since" not in capsys.readouterr().out

    write_data(1)
    assert run_module.main(["--resume", "runs/latest"]) == USER_MISTAKE
    said = capsys.readouterr().err
    assert "the float network's weights and the training images and the search split" in said
    assert "never mixes two networks" in said
    assert evaluate_module.main(["runs/latest", "--quiet"]) == DONE
    assert "changed since the search" in capsys.readouterr().out

    # One from before they were written down goes on as it did.
    (tmp_path / "runs/latest/given.json").unlink()
    assert run_module.main(["--resume", "runs/latest"]) == DONE
