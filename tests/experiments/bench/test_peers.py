import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from experiments.bench.peers.bitalloc_engine import (
    bitalloc_contenders,
    calibrate_network,
    mixed_allocation,
)
from experiments.bench.peers.contender import Contender, import_engine
from experiments.bench.peers.onnx_files import INPUT, write_onnx_files
from experiments.bench.peers.onnxruntime_engine import onnxruntime_contender
from experiments.bench.peers.openvino_engine import openvino_contender
from experiments.bench.peers.torch_engine import torch_contender
from experiments.bench.runtime.contenders import check_engines, contenders_of, count_contenders
from experiments.bench.runtime.results import INT8
from experiments.bench.standard_networks import STANDARD_NETWORKS, example_images, make_network
from experiments.errors import BenchError
from hardware.target import TargetConfig
from quant.layers import FLOAT_BITS
from quant.testing import random_images
from tests.quant.token_networks import IMAGE, WindowsNet


def test_networks_are_the_same_for_one_seed_and_their_values_do_not_fade() -> None:
    images = example_images("resnet8", 4, seed=1)
    assert images.shape == (4, 3, 32, 32)
    with torch.no_grad():
        logits = make_network("resnet8", 0)(images)
        assert torch.equal(logits, make_network("resnet8", 0)(images))
        assert not torch.equal(logits, make_network("resnet8", 1)(images))
    assert logits.std() > 0.05
    assert set(STANDARD_NETWORKS) == {
        *("resnet18", "mobilenetv2", "resnet20", "resnet8", "vit-tiny", "convnext-atto")
    }


def test_drawing_a_network_leaves_the_global_seed_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    make_network("resnet8", 0)
    assert torch.equal(torch.rand(1), expected)


def test_a_missing_package_is_named_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever is installed here, and though OpenVINO itself would be there.
    monkeypatch.setitem(sys.modules, "openvino", ModuleType("openvino"))
    monkeypatch.setitem(sys.modules, "onnx", ModuleType("onnx"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BenchError, match="expected the package onnxruntime") as caught:
        check_engines(["torch", "openvino"])
    assert 'pip install "bitalloc[bench]"' in caught.value.hint
    check_engines(["bitalloc", "torch", "tvm"])
    with pytest.raises(BenchError, match="expected the package no_such_engine"):
        import_engine("no_such_engine.part")


def test_labels_tell_contenders_of_one_engine_apart() -> None:
    def label(weight_bits: object, activation_bits: object) -> str:
        return Contender(
            engine="bitalloc",
            weight_bits=weight_bits,  # type: ignore[arg-type]
            activation_bits=activation_bits,  # type: ignore[arg-type]
            execute=lambda: None,
        ).label

    assert label(7, 8) == "bitalloc W7A8"
    assert label(32, 32) == "bitalloc fp32"
    assert label("mixed", "mixed") == "bitalloc mixed"


def test_eager_torch_runs_without_recording_gradients() -> None:
    module, image = make_network("resnet8", 0), example_images("resnet8", 1, 1)
    contender = torch_contender(module, image)
    logits = contender.execute()
    assert isinstance(logits, torch.Tensor)
    assert logits.is_inference()


@pytest.mark.slow
def test_our_contenders_are_every_pair_and_a_mixed_allocation(tmp_path: Path) -> None:
    module, images = make_network("resnet8", 0), example_images("resnet8", 1, 1)
    network = calibrate_network(module, images)
    mixed = mixed_allocation(network, seed=5)
    assert mixed == mixed_allocation(network, seed=5)
    found = list(
        contenders_of(
            module,
            network,
            images,
            engines=["bitalloc", "torch"],
            mixed=mixed,
            target=TargetConfig(kernel_cache=str(tmp_path)),
            seed=0,
        )
    )
    assert len(found) == count_contenders(["bitalloc", "torch"])
    assert [contender.label for contender in found] == [
        *(f"bitalloc {bits}" for bits in ("W8A8", "W7A8", "W6A6", "W4A4", "W2A2", "mixed")),
        "torch fp32",
    ]
    for contender in found:
        contender.execute()
        assert len(contender.families) == (
            len(network.layers) if "bitalloc" in contender.label else 0
        )


@pytest.mark.slow  # compiles every kernel of six programs
def test_our_contenders_multiply_tensors_at_every_pair(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = calibrate_network(WindowsNet().eval(), random_images(1, IMAGE))
    mixed, target = mixed_allocation(network, seed=5), TargetConfig(kernel_cache=str(tmp_path))
    for contender in bitalloc_contenders(network, mixed, target, seed=0):
        contender.execute()
        assert len(contender.families) == len(network.layers)
        macs = sum(layer.macs for layer in network.layers)
        assert sum(share.products for share in contender.shares) == macs


@pytest.mark.slow  # calibrates a transformer for 224x224
def test_onnx_runtime_takes_a_transformer(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    module, images = make_network("vit-tiny", 0), example_images("vit-tiny", 1, 1)
    files = write_onnx_files(module, images, tmp_path)
    for file, bits in ((files.float32, FLOAT_BITS), (files.int8, INT8)):
        onnxruntime_contender(file, bits, images).execute()


def test_the_onnx_files_compute_the_network_and_the_peers_load_them(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("openvino")
    module, images = make_network("resnet8", 0), example_images("resnet8", 4, 1)
    files = write_onnx_files(module, images, tmp_path)
    with torch.no_grad():
        expected = module(images[:1]).numpy()
    found = {
        file: runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"]).run(
            None, {INPUT: images[:1].numpy()}
        )[0]
        for file in (files.float32, files.int8)
    }
    # float32 sums in another order: 1e-4 is far above their rounding, far below a wrong layer.
    assert np.allclose(found[files.float32], expected, atol=1e-4)
    assert np.corrcoef(found[files.int8].ravel(), expected.ravel())[0, 1] > 0.9
    kinds = {node.op_type for node in onnx.load(str(files.int8)).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= kinds
    scales = [
        tuple(item.dims)
        for item in onnx.load(str(files.int8)).graph.initializer
        if item.name.endswith("_scale")
    ]
    assert (64,) in scales  # one for each channel of the last stage
    for make in (onnxruntime_contender, openvino_contender):
        contender = make(files.int8, 8, images[:1])
        contender.execute()
        assert make(files.float32, FLOAT_BITS, images[:1]).label.endswith("fp32")
