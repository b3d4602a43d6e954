"""Capture: a user's module becomes a NetworkGraph, through torch.export."""

import copy
import re
from typing import Any

import torch
from torch import nn

from quant.capture.graph import LayerParameters, NetworkGraph
from quant.capture.graph_builder import GraphBuilder
from quant.capture.operators import add_operator
from quant.errors import CaptureError


def capture(
    module: nn.Module, example: torch.Tensor
) -> tuple[NetworkGraph, dict[str, LayerParameters]]:
    """Capture a module as a graph of operators that have integer forms, and float islands.

    Args:
        module: The float network; it is copied and exported in evaluation mode.
        example: One input, float32 `[N, C, H, W]`, `[N, C, L]` or `[N, F]`; the batch is not baked
            in.

    Returns:
        The graph and the folded float parameters by layer name.

    Raises:
        CaptureError: the module cannot be exported, has several inputs, returns what is no batch of
            floats, or has no layer that can be quantized.
    """
    program = _export(module, example)
    builder = GraphBuilder(program)
    for node in program.graph.nodes:
        if node.op == "placeholder":
            builder.add_placeholder(node)
        elif node.op == "call_function":
            try:
                add_operator(builder, node)
            except CaptureError as error:
                builder.add_float(node, error.message)
        elif node.op == "output":
            builder.set_outputs(node, program.call_spec.out_spec)
    return builder.finish()


def _export(module: nn.Module, example: torch.Tensor) -> Any:
    if example.ndim not in (2, 3, 4):
        raise CaptureError(
            "expected an example input [N, C, H, W], [N, C, L] or [N, F], found "
            f"{list(example.shape)}"
        )
    plain = copy.deepcopy(module).eval()
    pair = example[:1].repeat(2, *[1] * (example.ndim - 1))  # export specialises a batch of 1
    try:
        with torch.no_grad():
            return torch.export.export(
                plain, (pair,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)
            )
    except Exception as error:
        if "Constraints violated (batch)" in str(error):
            raise CaptureError(
                f"{type(module).__name__} cannot be captured: its forward pass fixes the size of "
                "the batch, or makes a tensor of that size alone",
                "write x.shape[0] for len(x), and return what is computed of x",
            ) from error
        if unknown := re.search(r"Found <class '([^']+)'> in output", str(error)):
            raise CaptureError(
                f"expected {type(module).__name__} to return tensors, in tuples, dictionaries or "
                f"named tuples, found {unknown[1].rpartition('.')[2]}",
                "return its tensors in one of those",
            ) from error
        first = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise CaptureError(
            f"{type(module).__name__} cannot be captured by torch.export: {first.strip()}",
            "the forward pass must take one tensor and must not branch on values",
        ) from error
