"""Contenders of one network: the engines that were asked for, loaded and ready to be timed."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from experiments.bench.peers.bitalloc_engine import bitalloc_contenders
from experiments.bench.peers.contender import Contender, Engine, import_engine
from experiments.bench.peers.onnx_files import write_onnx_files
from experiments.bench.peers.onnxruntime_engine import onnxruntime_contender
from experiments.bench.peers.openvino_engine import openvino_contender
from experiments.bench.peers.torch_engine import torch_contender
from experiments.bench.peers.tvm_engine import tvm_contender
from experiments.bench.runtime.results import INT8
from hardware.target import TargetConfig
from quant.allocation import Allocation
from quant.layers import FLOAT_BITS
from quant.network import QuantizedNetwork

_CONTENDERS = {"bitalloc": 6, "onnxruntime": 2, "openvino": 2, "torch": 1, "tvm": 1}
"""Programs of each engine, for the progress line."""
_FROM_ONNX = {"onnxruntime": onnxruntime_contender, "openvino": openvino_contender}


def check_engines(engines: Sequence[Engine]) -> None:
    """Import every package that the engines need, before anything takes time.

    Raises:
        BenchError: one is missing.
    """
    for engine in engines:
        if engine in _FROM_ONNX:
            import_engine(engine)
            import_engine("onnx")
            # It writes the int8 file that OpenVINO reads, too.
            import_engine("onnxruntime")


def count_contenders(engines: Sequence[Engine]) -> int:
    """Return how many contenders the engines make."""
    return sum(_CONTENDERS[engine] for engine in engines)


def contenders_of(
    module: nn.Module,
    network: QuantizedNetwork,
    images: torch.Tensor,
    *,
    engines: Sequence[Engine],
    mixed: Allocation,
    target: TargetConfig,
    seed: int,
) -> Iterator[Contender]:
    """Load a network into every engine.

    Args:
        module: The float network, in evaluation mode.
        network: The same, calibrated.
        images: float32 `[N, C, H, W]`: to calibrate int8 on; the first one is what is run.
        engines: Which engines.
        mixed: Our last allocation.
        target: Whose instructions our kernels and TVM's may use.
        seed: Decides our weight codes.

    Raises:
        BenchError: a package is missing.
        BuildError: one of our programs cannot be built, or is wrong.
    """
    image = images[:1].clone()
    if "bitalloc" in engines:
        yield from bitalloc_contenders(network, mixed, target, seed)
    from_onnx = [engine for engine in engines if engine in _FROM_ONNX]
    if from_onnx:
        with tempfile.TemporaryDirectory(prefix="bitalloc-") as folder:
            files = write_onnx_files(module, images, Path(folder))
            for engine in from_onnx:
                yield _FROM_ONNX[engine](files.float32, FLOAT_BITS, image)
                yield _FROM_ONNX[engine](files.int8, INT8, image)
    if "torch" in engines:
        yield torch_contender(module, image)
    if "tvm" in engines:
        yield tvm_contender(module, image, target)
