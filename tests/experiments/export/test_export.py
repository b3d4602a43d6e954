"""The command: a real run of the digits, exported, and run where only its two packages are."""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from env.tasks import TaskConfig, load_task
from experiments import run as run_module
from experiments.export.command import main
from experiments.record.run_folder import open_run
from experiments.stages.network_setup import set_up_network
from experiments.stages.retraining import retrain
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from experiments.terminal.progress import LiveProgress
from hardware.worker.workbench import Workbench
from quant.allocation import Allocation
from quant.integer import run_graph
from tests.experiments.export import own_islands, own_outputs
from tests.experiments.export.all_the_way import goes_all_the_way
from tests.experiments.export.own_islands import data

ROOT = Path(__file__).resolve().parents[3]
FLAGS = [
    *("--method", "uniform", "--evaluations", "2", "--env.bit-choices", "4", "8", "--quiet"),
    *("--env.finetune.compensation-images", "32", "--env.finetune.held-back-images", "50"),
    *("--env.finetune.steps", "2", "--final.steps", "10", "--protocol.repeats", "5"),
    *("--protocol.min-repeat-ms", "1", "--target.no-dot-product", "--no-tune"),
    *("--budget.latency-ratio", "1.5"),
]


OWN = [
    *("--task.name", "own", "--task.model", f"{own_islands.__name__}:network"),
    *("--task.data", f"{own_islands.__name__}:data", "--task.epochs", "2"),
]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs")
    assert run_module.main([*FLAGS, "--output", str(output)]) == DONE
    return output / "latest"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")
@pytest.mark.timeout(900)
def test_a_bundle_runs_in_a_fresh_environment_equal_to_the_bit(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, key = tmp_path / "bundle", tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    flags = ["--output", str(bundle), "--quiet", "--sign-with", str(key)]
    assert main([str(run_folder), *flags]) == DONE
    said = capsys.readouterr().out
    assert "run it with: python" in said
    assert re.search(r"ONNX Runtime .* at its default settings .*: (\d+\.\d dB|equal)", said)
    folder, config = open_run(run_folder, finished=True)
    setup = set_up_network(config, LiveProgress(quiet=True))
    best = Allocation.from_dict(folder.read_json("best_allocation.json"))
    images = load_task(TaskConfig()).test.images[:50].numpy()
    expected = run_graph(retrain(setup, best)[0], images)

    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    packages = ["apache-tvm==0.27.0.post1", "apache-tvm-ffi==0.1.14.post0", "numpy"]
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *constraints, *packages], check=True)
    np.save(tmp_path / "x.npy", images)
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [
            *(python, bundle / "run.py", "--verify-key", f"{key}.pub"),
            *(tmp_path / "x.npy", tmp_path / "y.npy"),
        ],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=True,
    )
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)
    assert done.stdout.splitlines()[0].split()[1] == str(expected[0].argmax())
    card = (bundle / "README.md").read_text()
    assert "measured on" in card
    assert "**is no signature**" in card
    assert "ssh-keygen -Y verify" in card
    assert f"of {len(setup.task.test)} images" in card
    summed = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=bundle)
    assert summed.returncode == 0
    assert main([str(run_folder), "--output", str(bundle), "--quiet"]) == USER_MISTAKE
    assert "it is there already" in capsys.readouterr().err
    with (bundle / "weights.bin").open("r+b") as file:
        file.truncate(100)
    refused = subprocess.run(
        [python, bundle / "run.py"], capture_output=True, text=True, env=environment
    )
    assert refused.returncode == USER_MISTAKE
    (sentence,) = refused.stderr.splitlines()
    assert "weights.bin is damaged or was changed" in sentence


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_own_network_with_islands_goes_all_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*FLAGS, *OWN, "--output", str(tmp_path)]
    assert run_module.main(flags) == DONE
    assert "float island prelu" in capsys.readouterr().out
    assert "Float islands" in (tmp_path / "latest" / "report.html").read_text()
    bundle = tmp_path / "bundle"
    assert main([str(tmp_path / "latest"), "--output", str(bundle), "--quiet"]) == DONE
    card = (bundle / "README.md").read_text()
    for name in ("prelu", "conv_transpose2d"):
        (row,) = (line for line in card.splitlines() if line.startswith(f"| {name} | {name} | "))
        assert 0.0 < float(row.split("|")[3].replace("%", "")) < 100.0
    assert str(ROOT) not in card.partition("## Where it comes from")[0]
    assert "in it as operators in float32" in card
    assert f"and {4 * (8 + 8 * 8 * 4 + 8):,} of float islands" in card

    folder, config = open_run(tmp_path / "latest", finished=True)
    setup = set_up_network(config, LiveProgress(quiet=True))
    best = Allocation.from_dict(folder.read_json("best_allocation.json"))
    graph, images = retrain(setup, best)[0], data()["test"][0]
    here = Workbench(config.device_target, 1).run(graph, images)
    assert isinstance(here, np.ndarray)
    np.save(tmp_path / "x.npy", images)
    run = [sys.executable, *map(str, (bundle / "run.py", tmp_path / "x.npy", tmp_path / "y.npy"))]
    subprocess.run(run, check=True, cwd=tmp_path, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), here)
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    (found,) = session.run(None, {graph.input: images})
    assert (found.argmax(1) == here.argmax(1)).mean() >= 0.95


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_network_of_several_outputs_goes_all_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    functions = own_outputs.__name__
    own = ("--task.name", "own", "--task.model", f"{functions}:network", "--task.epochs", "2")
    flags = [*FLAGS, *own, "--task.data", f"{functions}:data", "--output", str(tmp_path)]
    assert run_module.main(flags) == DONE
    assert "logits is trained and scored" in capsys.readouterr().out
    _, printed = goes_all_the_way(tmp_path / "latest", tmp_path)
    card = (tmp_path / "bundle" / "README.md").read_text()
    assert "- output `boxes`: float32 `[N, 4]`" in card
    assert "- output `features.0`: float32 `[N, 8, 8, 10]`" in card
    names = [line.split()[0] for line in printed.splitlines()[:4]]
    assert names == ["boxes", "logits", "features.0", "features.1"]


def test_a_folder_that_is_no_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--output", str(tmp_path / "b"), "--quiet"]) == USER_MISTAKE
    assert "is not the folder of a finished run" in capsys.readouterr().err


def test_simulated_times_are_never_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulated = [*FLAGS, "--target.runner", "simulated", "--output", str(tmp_path)]
    assert run_module.main(simulated) == DONE
    flags = ["--output", str(tmp_path / "bundle"), "--quiet"]
    assert main([str(tmp_path / "latest"), *flags]) == USER_MISTAKE
    assert "whose times are simulated" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()
