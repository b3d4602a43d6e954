"""Recurrent, temporal and attentive networks, from the run to the bundle, on real kernels."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import evaluate
from experiments import run as run_module
from experiments.export.command import main
from experiments.record.run_folder import open_run
from experiments.report import command as report
from experiments.stages.network_setup import set_up_network
from experiments.stages.retraining import retrain
from experiments.terminal.exit_codes import DONE
from experiments.terminal.progress import LiveProgress
from hardware.worker.workbench import Workbench
from quant.allocation import Allocation
from tests.experiments.export import own_kinds
from tests.experiments.export.test_export import FLAGS

KINDS = {
    "Gru": ("sequences", ("gru",)),
    "Tcn": ("sequences", ()),
    "Vit": ("images", ("scaled_dot_product_attention", "layer_norm", "gelu")),
}
"""By the network's class: its data, and what must be in its float islands."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", list(KINDS))
def test_goes_all_the_way(
    kind: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data, operators = KINDS[kind]
    flags = [
        *(*FLAGS, "--output", str(tmp_path), "--task.name", "own", "--task.epochs", "2"),
        *("--task.model", f"{own_kinds.__name__}:{kind}"),
        *("--task.data", f"{own_kinds.__name__}:{data}"),
    ]
    assert run_module.main(flags) == DONE
    said = capsys.readouterr().out
    assert ("float island" in said) == bool(operators)
    assert all(name in said for name in operators)
    run = tmp_path / "latest"
    assert evaluate.main([str(run), "--quiet"]) == DONE
    assert report.main([str(run)]) == DONE
    bundle = tmp_path / "bundle"
    assert main([str(run), "--output", str(bundle), "--quiet"]) == DONE

    folder, config = open_run(run, finished=True)
    setup = set_up_network(config, LiveProgress(quiet=True))
    best = Allocation.from_dict(folder.read_json("best_allocation.json"))
    inputs = getattr(own_kinds, data)()["test"][0]
    here = Workbench(config.device_target, 1).run(retrain(setup, best)[0], inputs)
    stored = inputs[:, :, None, :] if inputs.ndim == 3 else inputs
    np.save(tmp_path / "x.npy", stored)
    command = [
        sys.executable,
        *map(str, (bundle / "run.py", tmp_path / "x.npy", tmp_path / "y.npy")),
    ]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), here)
    if operators:
        (island,) = json.loads((run / "islands.json").read_text())
        assert island["us"] > 0
