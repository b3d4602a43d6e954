"""A layer that is left in float: its weights as they are, in a module that runs as an island."""

import torch
from torch import fx, nn

from quant.layers import LayerSpec
from quant.quantizer import QuantizedLayer

_aten = torch.ops.aten


def float_layer(
    spec: LayerSpec, layer: QuantizedLayer, flattened: tuple[int, ...] | None
) -> fx.GraphModule:
    """Return a layer as a module of its own, frozen, that takes what the layer reads in float32.

    Args:
        spec: The layer.
        layer: Its float weights.
        flattened: `(C, H, W)` where a Linear reads a flattened image, whose integer form is
            flattened as `(H, W, C)`.
    """
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    if flattened is not None:
        by_place = weight.reshape(-1, *flattened).permute(0, 2, 3, 1)
        weight = by_place.reshape(weight.shape).contiguous()
    graph, root = fx.Graph(), nn.Module()
    x = graph.placeholder("input_0")
    for name, value in (("weight", weight), ("bias", bias)):
        root.register_buffer(name, value)
    read = (x, graph.get_attr("weight"), graph.get_attr("bias"))
    if spec.kind == "linear":
        result = graph.call_function(_aten.linear.default, read)
    else:
        geometry = (list(spec.stride), list(spec.padding), list(spec.dilation), spec.groups)
        result = graph.call_function(_aten.conv2d.default, (*read, *geometry))
    graph.output(result)
    return fx.GraphModule(root, graph, class_name="FloatLayer")
