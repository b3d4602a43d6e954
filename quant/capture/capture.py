"""Capture: a user's module becomes a NetworkGraph, through torch.export."""

import torch
from torch import nn

from quant.capture.alone import check_alone
from quant.capture.export import export_module, own_copy
from quant.capture.graph import LayerParameters, NetworkGraph
from quant.capture.graph_builder import GraphBuilder
from quant.capture.operators import add_operator
from quant.capture.products.attention import split_attention
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
    module = own_copy(module).eval()
    program = export_module(module, example)
    split_attention(program.graph)
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
    # Now that the outputs are tensors: a mean over the batch was refused as what it is.
    check_alone(module, program, example.shape[1:])
    return builder.finish()
