"""OpenVINO on the CPU, one thread and one stream, tuned for latency."""

from pathlib import Path

import torch

from experiments.bench.peers.contender import Bits, Contender, import_engine

_PROPERTIES = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "PERFORMANCE_HINT": "LATENCY",
    # Floats stay float32 on CPUs whose default would be bfloat16; int8 layers are int8 either way.
    "INFERENCE_PRECISION_HINT": "f32",
}


def openvino_contender(file: Path, bits: Bits, image: torch.Tensor) -> Contender:
    """Load an ONNX file and compile it for this CPU.

    Args:
        file: The network.
        bits: 8 or 32: what the file holds.
        image: float32 `[1, C, H, W]`.

    Raises:
        BenchError: openvino is not installed.
    """
    openvino = import_engine("openvino")
    request = openvino.Core().compile_model(str(file), "CPU", _PROPERTIES).create_infer_request()
    request.set_input_tensor(openvino.Tensor(image.numpy()))
    return Contender(
        engine="openvino",
        weight_bits=bits,
        activation_bits=bits,
        execute=lambda: request.infer(),
    )
