"""Layers that a user leaves in float, from the command line to the bundle."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from env.tasks import TaskConfig, load_task
from experiments import run as run_module
from experiments.evaluate import main as evaluate_main
from experiments.export.command import main
from experiments.record.curves import read_curves
from experiments.record.run_folder import open_run
from experiments.stages.network_setup import set_up_network
from experiments.stages.retraining import retrain
from experiments.terminal.exit_codes import DONE
from experiments.terminal.progress import LiveProgress
from hardware.worker.workbench import Workbench
from quant.allocation import Allocation
from quant.deploy_graph import RunIsland
from tests.experiments.export.test_export import FLAGS

RULES = ["conv1.0=8/8", "conv2.0=float/8", "conv3.0+conv4.0=4,8/4,8 tied", "fc=float"]
# A convolution in float takes several times as long as the whole network at 8 bits.
BUDGET = ["--budget.latency-ratio", "1000", "--env.layers"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_layers_in_float_go_all_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    assert run_module.main([*FLAGS[:-2], "--output", str(tmp_path), *BUDGET, *RULES]) == DONE
    run, bundle = tmp_path / "latest", tmp_path / "bundle"
    assert evaluate_main([str(run), "--quiet"]) == DONE
    told = capsys.readouterr().out
    assert "layer conv2.0: float/8" in told
    assert "layer conv4.0: 4,8/4,8, tied as 1 and tied as 2" in told
    assert "in float in best found: conv2.0, fc" in " ".join(told.split())
    assert read_curves(run / "tb")["weight_bits/fc"].values == (8.0, 32.0, 32.0)
    assert main([str(run), "--output", str(bundle), "--quiet"]) == DONE
    card = (bundle / "README.md").read_text()
    assert "| conv2.0 | float | 8 |" in card
    assert "bits (float counts as 32)" in card

    folder, config = open_run(run, finished=True)
    setup = set_up_network(config, LiveProgress(quiet=True))
    best = Allocation.from_dict(folder.read_json("best_allocation.json"))
    assert best.in_float == ("conv2.0", "fc")
    graph, images = retrain(setup, best)[0], load_task(TaskConfig()).test.images[:50].numpy()
    assert sum(isinstance(op, RunIsland) for op in graph.ops) == 2
    bench = Workbench(config.device_target, 1)
    bench.build(graph)  # equal to the integer reference but for the islands' last digits
    here = bench.run(graph, images)
    assert isinstance(here, np.ndarray)
    np.save(tmp_path / "x.npy", images)
    command = [sys.executable, *map(str, (bundle / "run.py", tmp_path / "x.npy"))]
    subprocess.run(
        [*command, str(tmp_path / "y.npy")], check=True, cwd=tmp_path, capture_output=True
    )
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), here)
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    (found,) = session.run(None, {graph.input: images})
    assert (found.argmax(1) == here.argmax(1)).mean() >= 0.95
    assert "LeafSpec" not in " ".join(str(warning.message) for warning in recwarn)
