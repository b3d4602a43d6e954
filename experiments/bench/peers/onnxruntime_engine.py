"""ONNX Runtime on the CPU, one thread, with its input and output bound in advance."""

from pathlib import Path

import torch

from experiments.bench.peers.contender import Bits, Contender, import_engine
from experiments.bench.peers.onnx_files import INPUT, OUTPUT

_ERRORS_ONLY = 3


def onnxruntime_contender(file: Path, bits: Bits, image: torch.Tensor) -> Contender:
    """Load an ONNX file.

    Args:
        file: The network.
        bits: 8 or 32: what the file holds.
        image: float32 `[1, C, H, W]`.

    Raises:
        BenchError: onnxruntime is not installed.
    """
    runtime = import_engine("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input(INPUT, image.numpy())
    binding.bind_output(OUTPUT, "cpu")
    return Contender(
        engine="onnxruntime",
        weight_bits=bits,
        activation_bits=bits,
        execute=lambda: session.run_with_iobinding(binding),
    )
