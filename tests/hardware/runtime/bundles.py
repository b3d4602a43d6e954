"""Small real bundles for the tests, as the command writes them but for the model card."""

import json
from pathlib import Path

import torch

from hardware.target import TargetConfig
from hardware.worker.write_bundle import write_program, write_sums
from quant.allocation import Allocation
from quant.convert import convert
from quant.deploy_graph import DeployGraph
from quant.testing import TinyResidualNet, prepare_calibrated, random_images

IMAGE = (1, 8, 8)


def small_graph() -> DeployGraph:
    """Return a converted residual network of `IMAGE`s, at 4 bits."""
    torch.manual_seed(0)
    network = prepare_calibrated(TinyResidualNet(), random_images(64))
    network.set_allocation(Allocation.uniform(network.layers, 4))
    return convert(network)


def make_bundle(graph: DeployGraph, folder: Path, kernels: Path, **target: object) -> Path:
    """Write a bundle for this machine into a new folder, and return the folder."""
    folder.mkdir()
    config = TargetConfig(kernel_cache=str(kernels), tune_s=0.0, **target)  # type: ignore[arg-type]
    document = write_program(graph, config, folder)
    document |= {
        "version": 2,
        "labels": [],
        "preprocessing": {"largest": 2.0, "mean": [0.0], "deviation": [1.0]},
    }
    (folder / "bundle.json").write_text(json.dumps(document))
    write_sums(folder)
    return folder
