"""From a finished run through every command, to outputs that are those of the integer reference."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from experiments import evaluate
from experiments.export import command as export
from experiments.record.run_folder import open_run
from experiments.report import command as report
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.stages.retraining import retrain
from experiments.terminal.exit_codes import DONE
from experiments.terminal.progress import LiveProgress
from quant.allocation import Allocation
from quant.torch_integer import integer_outputs

_IMAGES = 20
_NEAR = 1e-5
"""Of the largest output: how far float sums in another order are apart (docs/integers.md)."""
_SHARE = 0.95
"""Of the outputs, that are as near: behind a float island, and in ONNX, single codes may differ."""


def goes_all_the_way(run: Path, folder: Path) -> tuple[NetworkSetup, str]:
    """Evaluate, report and export a run, and run what was exported.

    Args:
        run: Folder of a run with measured times.
        folder: Gets the bundle.

    Returns:
        What the run's network is set up as, and what the bundle printed.
    """
    bundle = folder / "bundle"
    assert evaluate.main([str(run), "--quiet"]) == DONE
    assert report.main([str(run)]) == DONE
    assert export.main([str(run), "--output", str(bundle), "--quiet"]) == DONE

    record, config = open_run(run, finished=True)
    setup = set_up_network(config, LiveProgress(quiet=True))
    best = Allocation.from_dict(record.read_json("best_allocation.json"))
    graph, images = retrain(setup, best)[0], setup.task.test.images[:_IMAGES]
    made = integer_outputs(graph, images)
    expected = [made] if isinstance(made, torch.Tensor) else list(made)

    inputs = images.unsqueeze(2) if images.ndim == 3 else images  # a sequence is an image of a row
    np.save(folder / "x.npy", images.numpy())
    command = [sys.executable, "run.py", str(folder / "x.npy"), str(folder / "y.npy")]
    done = subprocess.run(command, check=True, cwd=bundle, capture_output=True, text=True)
    if len(expected) > 1:
        archive = np.load(folder / "y.npz")
        found = [archive[name] for name in graph.outputs]
    else:
        found = [np.load(folder / "y.npy")]
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    (entry,) = session.get_inputs()
    in_onnx = session.run(list(graph.outputs), {entry.name: inputs.numpy()})
    for wanted, here, there in zip((w.numpy() for w in expected), found, in_onnx, strict=True):
        if not setup.network.graph.islands:
            np.testing.assert_array_equal(here, wanted)
        for one in (here, there):
            assert one.shape == wanted.shape
            near = np.isclose(one, wanted, rtol=0, atol=_NEAR * np.abs(wanted).max())
            assert near.mean() >= _SHARE
    return setup, done.stdout
