"""A network and data in files, from the command line and a fresh folder, with relative paths."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from experiments import evaluate as evaluate_module
from experiments import run as run_module
from experiments.export import command as export_module
from experiments.terminal.exit_codes import DONE, USER_MISTAKE

SMALL = (
    *("--task.name", "own", "--task.model", "network.onnx", "--task.data", "data.npz"),
    *("--protocol.repeats", "5", "--protocol.min-repeat-ms", "1", "--quiet"),
    *("--env.finetune.compensation-images", "32", "--env.finetune.held-back-images", "20"),
    *("--env.finetune.steps", "2", "--final.steps", "2", "--env.bit-choices", "4", "8"),
    *("--method", "uniform", "--target.tune-s", "5"),
)
TRAIN, TEST = 240, 60


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small classifier that ends in a softmax, and its data."""
    rng = np.random.default_rng(0)
    labels = np.arange(TRAIN + TEST) % 3
    images = rng.normal(labels[:, None, None, None] - 1, 1.0, (len(labels), 2, 8, 8))
    images = images.astype("float32")
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(2, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3), nn.Softmax(1)),
    )
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    inputs, targets = torch.from_numpy(images[:TRAIN]), torch.from_numpy(labels[:TRAIN])
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network[:-1](inputs), targets).backward()
        optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names: Any = {"input_names": ["image"], "output_names": ["softmax"]}
        torch.onnx.export(network, (inputs[:1],), tmp_path / "network.onnx", dynamo=False, **names)
    arrays = {"train": slice(0, TRAIN), "test": slice(TRAIN, None)}
    given: Any = {f"{part}_inputs": images[place] for part, place in arrays.items()}
    given |= {f"{part}_labels": labels[place] for part, place in arrays.items()}
    np.savez(tmp_path / "data.npz", allow_pickle=False, **given)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_a_file_is_searched_and_evaluated_as_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_module.main([*SMALL, "--target.runner", "simulated", "--evaluations", "2"]) == DONE
    printed = capsys.readouterr().out
    assert "outputs: logits, softmax: logits is trained and scored" in printed
    assert not list((folder / "cache").rglob("*.safetensors")), "its weights were trained already"
    assert run_module.main(["--resume", "runs/latest", "--evaluations", "3"]) == DONE
    assert evaluate_module.main(["runs/latest"]) == DONE
    capsys.readouterr()
    (folder / "network.onnx").write_bytes((folder / "network.onnx").read_bytes()[:900])
    assert run_module.main([*SMALL, "--target.runner", "simulated"]) == USER_MISTAKE
    error = capsys.readouterr().err
    assert "network.onnx is damaged, or no ONNX model: its end is missing" in error
    assert "Traceback" not in error


@pytest.mark.slow
def test_a_file_becomes_a_bundle_that_runs(folder: Path) -> None:
    assert run_module.main([*SMALL, "--evaluations", "2"]) == DONE
    assert run_module.main(["--resume", "runs/latest", "--evaluations", "3"]) == DONE
    assert evaluate_module.main(["runs/latest"]) == DONE
    assert export_module.main(["runs/latest", "--output", "bundle"]) == DONE
    images = np.load("data.npz")["test_inputs"]
    np.save("images.npy", images)
    done = subprocess.run(
        [sys.executable, "bundle/run.py", "images.npy"], capture_output=True, text=True, check=True
    )
    assert f"softmax ({TEST}, 3) from" in done.stdout
    session = onnxruntime.InferenceSession("bundle/model.onnx")
    (read,) = session.get_inputs()
    made = dict(zip(("logits", "softmax"), session.run(None, {read.name: images}), strict=True))
    np.testing.assert_allclose(made["softmax"].sum(1), 1, atol=1e-3)
    before = onnxruntime.InferenceSession("network.onnx")
    wanted = [before.run(None, {"image": image[None]})[0][0] for image in images]
    alike = made["logits"].argmax(1) == np.array(wanted).argmax(1)
    assert alike.mean() > 0.8
