"""Convert: a QuantizedNetwork at its bits becomes the integer program of docs/integers.md."""

import copy
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from quant.capture.float_operators import channels_last
from quant.capture.graph import GraphOutput, Node
from quant.capture.lookup import table_values
from quant.deploy_graph import (
    WIDE_MAX,
    WIDE_MIN,
    Add,
    AvgPool2d,
    Concat,
    Constant,
    Conv2d,
    DeployGraph,
    DeployOp,
    DeployOutput,
    DeployTensor,
    Dequantize,
    Embedding,
    Epilogue,
    Linear,
    Lookup,
    MatMul,
    MaxPool2d,
    Move,
    Multiply,
    Pad2d,
    QuantizeInput,
    Requantize,
    Reshape,
    RunIsland,
)
from quant.errors import ConvertError
from quant.float_layer import float_layer
from quant.integer_parameters import bias_codes, check_products, check_sums, weight_codes
from quant.layers import FLOAT_BITS
from quant.network import QuantizedNetwork
from quant.tensors.devices import CPU
from quant.tensors.moving import device_of, place

_FLOAT_INPUT = "float_input"


def convert(network: QuantizedNetwork, name: str = "network") -> DeployGraph:
    """Return the integer program of the network at its current allocation.

    Args:
        network: Calibrated, with an allocation set; it is not changed, and may be on any device.
        name: What to call the program in messages.

    Raises:
        ConvertError: no allocation is set, or a layer's sums could leave int32.
    """
    if network.allocation is None:
        raise ConvertError("expected a network with an allocation, found one in float")
    if device_of(network) != CPU:
        network = network.clone()
        place(network, CPU)
    with torch.no_grad():
        return _Converter(network, name).run()


class _Converter:
    def __init__(self, network: QuantizedNetwork, name: str) -> None:
        self._network = network
        self._graph = network.graph
        self._name = name
        self._ops: list[DeployOp] = []
        self._tensors: dict[str, DeployTensor] = {}

    def run(self) -> DeployGraph:
        for node in self._graph.nodes:
            if node.kind == "input":
                self._input(node)
            elif node.layer:
                self._layer(node)
            else:
                _EMIT[node.kind](self, node)
        returned = tuple(self._returned(output) for output in self._graph.returned)
        first, *others = dict.fromkeys(output.tensor for output in returned)
        return DeployGraph(
            network=self._name,
            input=_FLOAT_INPUT,
            output=first,
            tensors=self._tensors,
            ops=tuple(self._ops),
            kept=tuple(others),
            returned=returned,
        )

    def _returned(self, output: GraphOutput) -> DeployOutput:
        node = self._graph.by_name[output.node]
        return DeployOutput(
            name=output.name,
            tensor=self._float(node.inputs[0]) if node.kind == "output" else node.name,
            shape=output.shape,
            channels_last=self._is_channels_last(node) and not node.last,
            rows=self._is_channels_last(node) and node.last,
        )

    def _is_channels_last(self, node: Node) -> bool:
        """Whether a kernel of ours makes an image; what is left in float has channels first."""
        if not node.layer or len(node.shape) == 1:
            return False
        return self._network.bits(node.layer).weight_bits != FLOAT_BITS

    def _tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: Any,
        *,
        scale: float = 1.0,
        zero_point: int = 0,
        first: bool = False,
    ) -> str:
        self._tensors[name] = DeployTensor(
            name=name,
            shape=shape if first else _last(shape),
            dtype=dtype,
            scale=scale,
            zero_point=zero_point,
        )
        return name

    def _output(self, node: Node) -> str:
        """Declare the node's own tensor, wide or narrow."""
        if node.name in self._graph.wide:
            scale = self._network.stream_scale(node.name)
            return self._tensor(node.name, node.shape, "int16", scale=scale)
        return self._narrow_tensor(node.name, node)

    def _narrow_tensor(self, name: str, node: Node) -> str:
        """Declare a tensor of narrow codes in a node's own quantizer."""
        step, zero_point, _ = self._quantizer(node.name)
        return self._tensor(name, node.shape, "uint8", scale=step, zero_point=zero_point)

    def _narrow(self, name: str) -> str:
        """Return the narrow tensor of a node, requantizing its wide one once."""
        if name not in self._graph.wide:
            return name
        narrow = f"{name}/narrow"
        if narrow not in self._tensors:
            node = self._graph.by_name[name]
            step, zero_point, levels = self._quantizer(name)
            self._narrow_tensor(narrow, node)
            self._ops.append(
                Requantize(
                    input=name,
                    output=narrow,
                    multiplier=_ratio(self._network.stream_scale(name), step),
                    zero_point=zero_point,
                    clip_min=0,
                    clip_max=levels,
                )
            )
        return narrow

    def _quantizer(self, name: str) -> tuple[float, int, int]:
        """Return (step, zero point, largest code) of the tensor a node belongs to."""
        tensor = self._graph.tensor_of[name]
        bits = self._network.tensor_bits(tensor)
        module = self._network.tensor(tensor)
        return float(module.step(bits)), module.zero_point(bits), 2**bits - 1

    def _scale(self, node: Node) -> tuple[float, int, int, int]:
        """Return (scale, zero point, clip_min, clip_max) of a node's own codes."""
        if node.name in self._graph.wide:
            scale, zero_point, low, high = (
                self._network.stream_scale(node.name),
                0,
                WIDE_MIN,
                WIDE_MAX,
            )
        else:
            scale, zero_point, high = self._quantizer(node.name)
            low = 0
        if node.clip is not None:
            low = max(low, zero_point)
            if node.clip.maximum is not None:
                # The same float32 division as the fake quantizer's, so that both clip alike.
                top = np.rint(np.float32(node.clip.maximum) / np.float32(scale))
                high = int(min(high, zero_point + top))
        return scale, zero_point, low, high

    def _input(self, node: Node) -> None:
        self._tensor(_FLOAT_INPUT, node.shape, "float32", first=True)
        if any(reader.kind == "embedding" for reader in self._graph.readers[node.name]):
            return  # numbers of tokens, which have no codes
        step, zero_point, _ = self._quantizer(node.name)
        self._ops.append(
            QuantizeInput(
                input=_FLOAT_INPUT,
                output=self._narrow_tensor(node.name, node),
                multiplier=_ratio(1.0, step),
                zero_point=zero_point,
            )
        )

    def _layer(self, node: Node) -> None:
        spec, bits = self._graph.layer(node.layer), self._network.bits(node.layer)
        module, image = self._network.layer(node.layer), self._flattened_image(node)
        if bits.weight_bits == FLOAT_BITS:
            source = self._float(node.inputs[0], narrow=True, last=node.last)
            alone = float_layer(spec, module, image)
            self._run_in_float(node, spec.name, (source,), alone, layer=spec.name)
            return
        source = self._narrow(node.inputs[0])
        input_step, input_zero, levels = self._quantizer(node.inputs[0])
        codes, steps = weight_codes(module, bits.weight_bits, image)
        unit = input_step * steps
        bias = bias_codes(module.bias, unit, spec.name)
        check_sums(codes, bias, max(input_zero, levels - input_zero), spec.name)
        common: dict[str, Any] = {
            "layer": spec.name,
            "input": source,
            "weight_bits": bits.weight_bits,
            "activation_bits": bits.activation_bits,
            "input_zero_point": input_zero,
            "epilogue": self._epilogue(node, bias, unit),
        }
        if node.name in self._graph.output_nodes:
            common["output"] = self._tensor(node.name, node.shape, "float32")
        else:
            common["output"] = self._output(node)
        if spec.kind == "linear" and len(node.shape) == 1:
            self._ops.append(Linear(weight=codes, **common))
            return
        if spec.kind == "linear":  # every place of an image, as a convolution with a 1x1 kernel
            codes = codes[:, None, None]
        self._ops.append(
            Conv2d(
                weight=codes,
                stride=spec.stride,
                padding=spec.padding,
                dilation=spec.dilation,
                groups=spec.groups,
                **common,
            )
        )

    def _epilogue(
        self, node: Node, bias: npt.NDArray[np.int32], unit: npt.NDArray[np.float64]
    ) -> Epilogue:
        if node.name in self._graph.output_nodes:
            return Epilogue(bias=bias, multiplier=unit.astype(np.float32), logits=True)
        scale, zero_point, low, high = self._scale(node)
        return Epilogue(
            bias=bias,
            multiplier=(unit / scale).astype(np.float32),
            zero_point=zero_point,
            clip_min=low,
            clip_max=high,
        )

    def _flattened_image(self, node: Node) -> tuple[int, ...] | None:
        """Return the `(C, H, W)` that a node's input was flattened from, if it was."""
        source = self._graph.by_name[node.inputs[0]]
        return self._graph.by_name[source.inputs[0]].shape if source.kind == "flatten" else None

    def clip(self, node: Node) -> None:
        scale, zero_point, low, high = self._scale(node)
        self._ops.append(
            Requantize(
                input=node.inputs[0],
                output=self._output(node),
                multiplier=_ratio(self._network.stream_scale(node.inputs[0]), scale),
                zero_point=zero_point,
                clip_min=low,
                clip_max=high,
            )
        )

    def add(self, node: Node) -> None:
        scale, _, low, high = self._scale(node)
        first, second = (_ratio(self._network.stream_scale(name), scale) for name in node.inputs)
        self._ops.append(
            Add(
                inputs=(node.inputs[0], node.inputs[1]),
                output=self._output(node),
                multipliers=(first, second),
                clip_min=low,
                clip_max=high,
            )
        )

    def multiply(self, node: Node) -> None:
        scale, zero_point, low, high = self._scale(node)
        first, second = (self._scale(self._graph.by_name[name]) for name in node.inputs)
        self._ops.append(
            Multiply(
                inputs=(node.inputs[0], node.inputs[1]),
                output=self._output(node),
                input_zero_points=(first[1], second[1]),
                multiplier=_ratio(first[0] * second[0], scale),
                zero_point=zero_point,
                clip_min=low,
                clip_max=high,
            )
        )

    def matmul(self, node: Node) -> None:
        assert node.matrices is not None
        scale, zero_point, low, high = self._scale(node)
        left, right = (self._quantizer(name) for name in node.inputs)
        check_products(
            node.matrices.depth, left[2], max(right[1], right[2] - right[1]), node.product
        )
        self._ops.append(
            MatMul(
                layer=node.product,
                inputs=(self._narrow(node.inputs[0]), self._narrow(node.inputs[1])),
                output=self._output(node),
                matrices=node.matrices,
                bits=(left[2].bit_length(), right[2].bit_length()),
                input_zero_points=(left[1], right[1]),
                multiplier=_ratio(left[0] * right[0] * node.scale, scale),
                zero_point=zero_point,
                clip_min=low,
                clip_max=high,
                shape=_last(node.shape),
            )
        )

    def lookup(self, node: Node) -> None:
        source = self._narrow(node.inputs[0])
        scale, zero_point, low, high = self._scale(node)
        values = table_values(self._network.lookup(node.name), *self._quantizer(node.inputs[0]))
        codes = np.clip(np.rint(values / scale) + zero_point, low, high)
        output = self._output(node)
        table = codes.astype(self._tensors[output].dtype)
        self._ops.append(Lookup(input=source, output=output, table=table))

    def max_pool(self, node: Node) -> None:
        assert node.window is not None
        self._ops.append(
            MaxPool2d(
                input=self._same_width(node, node.inputs[0]),
                output=self._output(node),
                kernel=node.window.kernel,
                stride=node.window.stride,
                padding=node.window.padding,
            )
        )

    def avg_pool(self, node: Node) -> None:
        assert node.window is not None
        scale, zero_point, low, high = self._scale(node)
        count = node.window.kernel[0] * node.window.kernel[1]
        self._ops.append(
            AvgPool2d(
                input=node.inputs[0],
                output=self._output(node),
                kernel=node.window.kernel,
                stride=node.window.stride,
                padding=node.window.padding,
                multiplier=_ratio(self._network.stream_scale(node.inputs[0]), scale * count),
                zero_point=zero_point,
                clip_min=low,
                clip_max=high,
            )
        )

    def flatten(self, node: Node) -> None:
        source = self._same_width(node, node.inputs[0])
        self._ops.append(Reshape(input=source, output=self._output(node), shape=node.shape))

    def move(self, node: Node) -> None:
        assert node.moved is not None
        source, shape = self._same_width(node, node.inputs[0]), _last(node.shape)
        output = self._output(node)
        if node.moved.is_whole and node.moved.count == prod(self._tensors[source].shape):
            self._ops.append(Reshape(input=source, output=output, shape=shape))
            return
        self._ops.append(Move(input=source, output=output, strides=node.moved, shape=shape))

    def constant(self, node: Node) -> None:
        value = channels_last(self._network.constant(node.name))[0]
        output = self._output(node)
        self._ops.append(Constant(output=output, codes=self._codes(node, value)))

    def embedding(self, node: Node) -> None:
        table, output = self._codes(node, self._network.constant(node.name)), self._output(node)
        shape = _last(node.shape)
        self._ops.append(Embedding(input=_FLOAT_INPUT, output=output, table=table, shape=shape))

    def _codes(self, node: Node, value: torch.Tensor) -> npt.NDArray[Any]:
        """Return values as codes of a node's own tensor."""
        scale, zero_point, low, high = self._scale(node)
        # The same float32 division as the fake quantizer's.
        codes = np.clip(np.rint(value.numpy() / np.float32(scale)) + zero_point, low, high)
        dtype = np.int16 if node.name in self._graph.wide else np.uint8
        return np.ascontiguousarray(codes.astype(dtype))

    def concat(self, node: Node) -> None:
        sources = tuple(self._same_width(node, name) for name in node.inputs)
        axis = node.axis - 1  # of `(H, W, C)`, where `(C, H, W)` has it
        self._ops.append(Concat(inputs=sources, output=self._output(node), axis=axis))

    def pad(self, node: Node) -> None:
        assert node.padding is not None
        self._ops.append(
            Pad2d(
                input=self._same_width(node, node.inputs[0]),
                output=self._output(node),
                before=node.padding.before,
                after=node.padding.after,
                zero_point=self._scale(node)[1],
            )
        )

    def island(self, node: Node) -> None:
        """Emit a float island between its dequantizations and the quantization of its output."""
        module = copy.deepcopy(self._network.island(node.name)).eval().requires_grad_(False)
        sources = tuple(self._float(name) for name in node.inputs)
        self._run_in_float(node, node.name, sources, module)

    def _run_in_float(
        self, node: Node, name: str, sources: tuple[str, ...], module: Any, layer: str = ""
    ) -> None:
        made = node.name if node.name in self._graph.output_nodes else f"{node.name}/float"
        self._tensor(made, node.shape, "float32", first=not node.last)
        self._ops.append(
            RunIsland(name=name, inputs=sources, output=made, module=module, layer=layer)
        )
        if made == node.name:
            return
        scale, zero_point, low, high = self._scale(node)
        self._ops.append(
            QuantizeInput(
                input=made,
                output=self._output(node),
                multiplier=_ratio(1.0, scale),
                zero_point=zero_point,
                clip_min=low,
                clip_max=high,
                last=node.last,
            )
        )

    def output(self, node: Node) -> None:
        self._float(node.inputs[0])

    def _float(self, name: str, *, narrow: bool = False, last: bool | None = None) -> str:
        """Return the float tensor of a node, dequantizing its own or its narrow codes once.

        Args:
            name: The node.
            narrow: Whether its narrow codes are read, where it has both.
            last: Whether channels are last; None for where the user's network has them.
        """
        node = self._graph.by_name[name]
        last = (node.last if last is None else last) and len(node.shape) > 1
        codes = self._narrow(name) if narrow else name
        floats = f"{codes}/dequantized{'_last' if last else ''}"
        if floats not in self._tensors:
            scale, zero_point = (self._quantizer(name) if narrow else self._scale(node))[:2]
            self._tensor(floats, node.shape, "float32", first=not last)
            self._ops.append(
                Dequantize(
                    input=codes,
                    output=floats,
                    multiplier=float(np.float32(scale)),
                    zero_point=zero_point,
                    last=last,
                )
            )
        return floats

    def _same_width(self, node: Node, source: str) -> str:
        """Return the source's tensor in the width that a code-moving operator's result has."""
        return source if node.name in self._graph.wide else self._narrow(source)


_EMIT = {
    "clip": _Converter.clip,
    "add": _Converter.add,
    "multiply": _Converter.multiply,
    "matmul": _Converter.matmul,
    "lookup": _Converter.lookup,
    "max_pool": _Converter.max_pool,
    "avg_pool": _Converter.avg_pool,
    "flatten": _Converter.flatten,
    "move": _Converter.move,
    "constant": _Converter.constant,
    "embedding": _Converter.embedding,
    "concat": _Converter.concat,
    "pad": _Converter.pad,
    "island": _Converter.island,
    "output": _Converter.output,
}


def _last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return `(C, H, W)` as `(H, W, C)`, and `(F,)` as it is."""
    return (*shape[1:], shape[0])


def _ratio(numerator: float, denominator: float) -> float:
    """Return a float64 quotient rounded once to float32."""
    return float(np.float32(numerator / denominator))
