"""Networks that PyTorch exported come back as they were, train, and become integers."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.env.tasks.onnx_network.agreement import captured, imported, train_one_step
from tests.env.tasks.onnx_network.networks import NETWORKS, trained


def export(name: str, file: Path, *, traced: bool, free: bool, folded: bool = True) -> Path:
    """Write one of `NETWORKS`, its batch free or fixed to 1."""
    shape = NETWORKS[name][1]
    example = torch.randn(2 if free else 1, *shape)
    settings: dict[str, Any] = {"input_names": ["image"], "output_names": ["answer"]}
    if traced:
        settings |= {"do_constant_folding": folded}
        settings |= {"dynamic_axes": {"image": {0: "n"}, "answer": {0: "n"}}} if free else {}
        settings |= {} if folded else {"training": torch.onnx.TrainingMode.PRESERVE}
    else:
        settings |= {"dynamic_shapes": ({0: torch.export.Dim("n")},)} if free else {}
        settings |= {"optimize": folded, "verbose": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(trained(name), (example,), file, dynamo=not traced, **settings)
    return file


@pytest.mark.parametrize("free", [True, False], ids=["free batch", "batch of 1"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_traced_network_comes_back(name: str, free: bool, tmp_path: Path) -> None:
    _comes_back(name, tmp_path, traced=True, free=free)


def test_an_exported_network_comes_back(tmp_path: Path) -> None:
    _comes_back("attention", tmp_path, traced=False, free=True)


@pytest.mark.slow
@pytest.mark.parametrize("free", [True, False], ids=["free batch", "batch of 1"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_exported_network_comes_back(name: str, free: bool, tmp_path: Path) -> None:
    _comes_back(name, tmp_path, traced=False, free=free)


def _comes_back(name: str, tmp_path: Path, *, traced: bool, free: bool) -> None:
    _, shape, layers = NETWORKS[name]
    file = export(name, tmp_path / "n.onnx", traced=traced, free=free)
    network = imported(file, *shape)
    graph = captured(network, *shape)
    train_one_step(network, *shape)
    found = [layer.name for layer in graph.layers if layer.has_weights]
    assert len(found) == layers, found


@pytest.mark.parametrize("traced", [True, False], ids=["traced", "exported"])
def test_batch_norms_that_were_not_folded_are_folded_when_captured(
    traced: bool, tmp_path: Path
) -> None:
    file = export("residual", tmp_path / "n.onnx", traced=traced, free=True, folded=False)
    network = imported(file, 3, 8, 8)
    norms = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert len(norms) == 2
    assert all(part.weight.requires_grad for part in norms)
    graph = captured(network, 3, 8, 8)
    assert not graph.islands
    assert [layer.name for layer in graph.layers] == ["stem.0", "conv1", "shortcut", "head"]
