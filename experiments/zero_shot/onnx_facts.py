"""Facts of a network in an ONNX file: its layers, found without running the file or training it."""

from collections.abc import Sequence
from pathlib import Path

import torch

from env.tasks.onnx_network.limits import DEFAULT_LIMITS
from env.tasks.onnx_network.load import load_onnx_network
from env.tasks.onnx_network.model_file import read_model
from experiments.errors import ConfigError
from experiments.zero_shot.network_facts import NetworkFacts
from quant.network import prepare

_MOST_NUMBERS = 1 << 26
"""Of one input."""


def facts_of_onnx(file: Path, shape: Sequence[int] = ()) -> NetworkFacts:
    """Return the layers of a float model.

    Args:
        file: The model.
        shape: Sizes of one input without the batch; empty where the file says them.

    Raises:
        TaskError: the file cannot be taken.
        CaptureError: it has operators with no integer form.
        ConfigError: the file leaves sizes free, and none are given.
    """
    sizes = tuple(shape) or _sizes_of(file)
    count = 1
    for size in sizes:
        count *= max(1, size)
    if min(sizes, default=0) < 1 or count > _MOST_NUMBERS:
        raise ConfigError(f"shape: expected sizes of one input, found {list(sizes)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        example = torch.rand(2, *sizes)
    module = load_onnx_network(file, example).eval()
    return NetworkFacts(layers=tuple(prepare(module, example).layers))


def _sizes_of(file: Path) -> tuple[int, ...]:
    model = read_model(file, DEFAULT_LIMITS)
    kept = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in kept]
    dims = list(inputs[0].type.tensor_type.shape.dim)[1:] if len(inputs) == 1 else []
    sizes = tuple(int(dim.dim_value) for dim in dims)
    if not sizes or min(sizes) < 1:
        raise ConfigError(
            f"{file.name}: expected the sizes of its one input, found that the file leaves them "
            "free",
            "give them: --shape 3 224 224",
        )
    return sizes
