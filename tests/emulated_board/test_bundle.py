"""A bundle for a board: written here, executed there, equal to the integer reference to the bit."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hardware.target import TargetConfig
from hardware.worker.write_bundle import write_program, write_sums
from quant.deploy_graph import DeployOutput
from quant.integer import run_graph
from tests.emulated_board.board import EmulatedBoard
from tests.emulated_board.rpc_board import cross_tools
from tests.hardware.graphs import digits_like

pytestmark = [pytest.mark.board, pytest.mark.timeout(300)]


@pytest.mark.parametrize(("preset", "cpu"), [("rpi4", "cortex-a72"), ("rpi5", "cortex-a76")])
def test_a_bundle_runs_on_the_board(
    preset: str, cpu: str, board: EmulatedBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{cross_tools(board, tmp_path / 'bin')}:{os.environ['PATH']}")
    graph = digits_like((8, 4, 6, 3, 2))
    shape = graph.tensors[graph.output].shape
    logits = DeployOutput(name="output", tensor=graph.output, shape=shape, channels_last=False)
    graph = replace(graph, returned=(logits,))
    folder = tmp_path / "bundle"
    folder.mkdir()
    config = TargetConfig(board=preset, kernel_cache=str(tmp_path / "kernels"), tune_s=0.0)  # type: ignore[arg-type]
    document = write_program(graph, config, folder)
    assert document["machine"] == "aarch64"
    document |= {"version": 2, "labels": ["zero", "one"] * 5, "preprocessing": None}
    (folder / "bundle.json").write_text(json.dumps(document))
    write_sums(folder)
    images = np.random.default_rng(0).normal(size=(3, *document["input_shape"]))
    np.save(tmp_path / "x.npy", images.astype(np.float32))
    inputs, outputs = tmp_path / "x.npy", tmp_path / "y.npy"
    told = board.run_python([str(folder / "run.py"), str(inputs), str(outputs)], cpu=cpu)
    assert "ms for one, median" in told
    np.testing.assert_array_equal(np.load(outputs), run_graph(graph, images.astype(np.float32)))
