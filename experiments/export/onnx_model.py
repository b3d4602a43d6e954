"""A converted network as a standard ONNX model: float operators between Q and DQ pairs.

Weights are the integers of the network, in the narrowest type of ONNX that holds them, and every
tensor is rounded to the same codes. What lies between is computed in float32 by whoever runs it, so
that a code may differ by one where a sum falls next to the middle of two; docs/integers.md stays
the definition.

Float islands are written operator by operator, in float32 (see `onnx_island`).

Images are channels-first, as ONNX has them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from env.tasks.onnx_network.package import import_onnx
from experiments.export.onnx_codes import CodesWriter
from experiments.export.onnx_island import NotInOnnxError, write_island
from experiments.export.onnx_outputs import inner_name, set_apart, write_output
from experiments.export.onnx_types import narrow, type_for
from quant.deploy_graph import (
    WIDE_MAX,
    WIDE_MIN,
    Add,
    AvgPool2d,
    Concat,
    Constant,
    Conv2d,
    DeployGraph,
    Dequantize,
    Embedding,
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
    read_names,
)

_NARROW_MAX = 255
_TO_FIRST, _TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
"""Permutations of a batch of images."""
_IR_VERSION = {21: 10, 25: 13}
"""Version of the file format that came with a version of the operators."""


def onnx_model(graph: DeployGraph, *, opset: int, batch: int | str = "batch") -> bytes:
    """Return the model, serialized.

    Args:
        graph: The converted network.
        opset: 21, or 25 for types of two bits.
        batch: Images in one execution, or the name of a free dimension.

    Raises:
        BitAllocError: onnx is not installed.
        NotInOnnxError: an operator has no counterpart.
    """
    builder = _Builder(graph, opset, import_bundle_onnx())
    return bytes(builder.build(batch).SerializeToString())


def import_bundle_onnx() -> Any:
    """Return the package onnx.

    Raises:
        BitAllocError: it is not installed.
    """
    return import_onnx("the bundle's ONNX model", ", or leave the model out with --no-onnx")


class _Builder(CodesWriter):
    """Writes operators; a value is named after its tensor."""

    def __init__(self, graph: DeployGraph, opset: int, onnx: Any) -> None:
        super().__init__(graph, onnx)
        self._opset = opset

    def build(self, batch: int | str) -> Any:
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        for op in self.graph.ops:
            emit = _EMIT.get(type(op))
            if emit is None:
                raise NotInOnnxError(f"{type(op).__name__} has no counterpart in ONNX")
            emit(self, op)
        set_apart(self.graph.outputs, self.nodes, self.constants)
        for output in self.graph.returned:
            write_output(output, self.graph.outputs, self.node, self.constant)
        entry = inner_name(self.graph.input, self.graph.outputs)
        source = self.graph.tensors[self.graph.input]
        return helper.make_model(
            helper.make_graph(
                self.nodes,
                self.graph.network,
                [helper.make_tensor_value_info(entry, kinds.FLOAT, [batch, *source.shape])],
                [
                    helper.make_tensor_value_info(output.name, kinds.FLOAT, [batch, *output.shape])
                    for output in self.graph.returned
                ],
                self.constants,
            ),
            opset_imports=[helper.make_opsetid("", self._opset)],
            ir_version=_IR_VERSION[self._opset],
            producer_name="bitalloc",
        )

    def quantize_input(self, op: QuantizeInput) -> None:
        source = self.to_channels_first(op.input, f"{op.output}/first") if op.last else op.input
        self._round(source, op.output, op.clip_min, op.clip_max)

    def conv2d(self, op: Conv2d) -> None:
        codes = op.weight.transpose(0, 3, 1, 2)
        (ph, pw) = op.padding
        self._layer(
            op,
            codes,
            "Conv",
            strides=list(op.stride),
            pads=[ph, pw, ph, pw],
            dilations=list(op.dilation),
            group=op.groups,
        )

    def linear(self, op: Linear) -> None:
        self._layer(op, self._channels_first(op), "Gemm", transB=1)

    def add(self, op: Add) -> None:
        total = f"{op.output}/sum"
        output = self.graph.tensors[op.output]
        branches = []
        for number, (name, multiplier) in enumerate(zip(op.inputs, op.multipliers, strict=True)):
            branch = name
            if multiplier != 1.0:
                branch = f"{op.output}/branch{number}"
                self.quantize(name, branch, output.scale, 0, "INT16")
            branches.append(branch)
        self.node("Add", branches, total)
        self._round(total, op.output, op.clip_min, op.clip_max)

    def multiply(self, op: Multiply) -> None:
        product = f"{op.output}/product"
        self.node("Mul", list(op.inputs), product)
        self._round(product, op.output, op.clip_min, op.clip_max)

    def matmul(self, op: MatMul) -> None:
        """Multiply the matrices of real values, each in its own order."""
        sides: list[str] = []
        for name, shape in zip(op.inputs, (op.matrices.left, op.matrices.right), strict=True):
            side = f"{op.output}/{'right' if sides else 'left'}"
            last = self.to_channels_last(name, f"{side}/last")
            sizes = self.constant(f"{side}/shape", np.array([0, *shape], np.int64))
            self.node("Reshape", [last, sizes], side)
            sides.append(side)
        if op.matrices.turned:
            self.node("Transpose", [sides[1]], f"{sides[1]}/turned", perm=[0, 1, 3, 2])
            sides[1] = f"{sides[1]}/turned"
        products, scaled = f"{op.output}/products", f"{op.output}/scaled"
        self.node("MatMul", sides, products)
        made = self.graph.tensors[op.output].scale
        for name in op.inputs:
            made /= self.graph.tensors[name].scale
        self.node("Mul", [products, self.scalar(f"{scaled}/factor", op.multiplier * made)], scaled)
        sizes = self.constant(f"{op.output}/shape", np.array([0, *op.shape], np.int64))
        self.node("Reshape", [scaled, sizes], f"{op.output}/shaped")
        first = self.to_channels_first(f"{op.output}/shaped", f"{op.output}/first")
        self._round(first, op.output, op.clip_min, op.clip_max)

    def lookup(self, op: Lookup) -> None:
        """Pick the real values of a table by the codes, which is exact for every function."""
        made, name = self.graph.tensors[op.output], f"{op.output}/table"
        codes = self.codes_again(op.input, name)
        self.node("Cast", [codes], f"{name}/index", to=self.onnx.TensorProto.INT32)
        reals = (op.table.astype(np.float64) - made.zero_point) * made.scale
        table = self.constant(name, reals.astype(np.float32))
        self.node("Gather", [table, f"{name}/index"], op.output, axis=0)

    def requantize(self, op: Requantize) -> None:
        self._round(op.input, op.output, op.clip_min, op.clip_max)

    def max_pool(self, op: MaxPool2d) -> None:
        self.node("MaxPool", [op.input], op.output, **_window(op))

    def avg_pool(self, op: AvgPool2d) -> None:
        mean = f"{op.output}/mean"
        self.node("AveragePool", [op.input], mean, count_include_pad=1, **_window(op))
        self._round(mean, op.output, op.clip_min, op.clip_max)

    def reshape(self, op: Reshape) -> None:
        if self._is_flattened_for_layers(op):
            self.node("Flatten", [op.input], op.output, axis=1)
            return
        self._write_shaped(self.to_channels_last(op.input, f"{op.output}/last"), op)

    def move(self, op: Move) -> None:
        """Take values by their places, which is exact for every order."""
        last = self.to_channels_last(op.input, f"{op.output}/last")
        flat, taken = f"{op.output}/flat", f"{op.output}/taken"
        self.node("Flatten", [last], flat, axis=1)
        places = self.constant(f"{op.output}/places", op.strides.places())
        self.node("Gather", [flat, places], taken, axis=1)
        self._write_shaped(taken, op)

    def embedding(self, op: Embedding) -> None:
        """Pick rows of real values by the numbers of the input."""
        made, name = self.graph.tensors[op.output], f"{op.output}/table"
        source = inner_name(self.graph.input, self.graph.outputs)
        ends = [
            self.scalar(f"{name}/first", 0.0),
            self.scalar(f"{name}/last", len(op.table) - 1.0),
        ]
        self.node("Clip", [source, *ends], f"{name}/inside")
        self.node("Cast", [f"{name}/inside"], f"{name}/rows", to=self.onnx.TensorProto.INT64)
        reals = (op.table.astype(np.float64) - made.zero_point) * made.scale
        table = self.constant(name, reals.astype(np.float32))
        self.node("Gather", [table, f"{name}/rows"], f"{name}/picked", axis=0)
        sizes = self.constant(f"{name}/shape", np.array([0, *op.shape], np.int64))
        self.node("Reshape", [f"{name}/picked", sizes], f"{name}/shaped")
        self.to_channels_first(f"{name}/shaped", op.output)

    def write_constant(self, op: Constant) -> None:
        made = self.graph.tensors[op.output]
        reals = ((op.codes.astype(np.float64) - made.zero_point) * made.scale)[None]
        reals = np.moveaxis(reals, -1, 1).astype(np.float32)
        one, sizes = f"{op.output}/shape", f"{op.output}/sizes"
        self.node("Shape", [self.graph.input], one, start=0, end=1)  # of the batch
        ones = self.constant(f"{op.output}/ones", np.ones(reals.ndim - 1, np.int64))
        self.node("Concat", [one, ones], sizes, axis=0)
        self.node("Expand", [self.constant(f"{op.output}/reals", reals), sizes], op.output)

    def concat(self, op: Concat) -> None:
        axis = 1 if op.axis < 0 else op.axis + 2
        self.node("Concat", list(op.inputs), op.output, axis=axis)

    def dequantize(self, op: Dequantize) -> None:
        if not op.last:
            self.by_arithmetic(op.input, op.output)
            return
        self.by_arithmetic(op.input, f"{op.output}/first")
        self.node("Transpose", [f"{op.output}/first"], op.output, perm=_TO_LAST)

    def run_island(self, op: RunIsland) -> None:
        shapes = [self.graph.tensors[name].shape for name in op.inputs]
        write_island(op, shapes, self.node, self.constant)

    def pad(self, op: Pad2d) -> None:
        ends = np.array([0, 0, *op.before, 0, 0, *op.after], np.int64)
        pads = self.constant(f"{op.output}/pads", ends)
        self.node("Pad", [op.input, pads], op.output)  # of real values: with 0.0

    def to_channels_first(self, source: str, name: str) -> str:
        """Return a value that has its channels last with its channels first."""
        self.node("Transpose", [source], name, perm=_TO_FIRST)
        return name

    def to_channels_last(self, tensor: str, name: str) -> str:
        """Return a tensor of the graph with its channels last; of a vector, the tensor."""
        if len(self.graph.tensors[tensor].shape) == 1:
            return tensor
        self.node("Transpose", [tensor], name, perm=_TO_LAST)
        return name

    def _write_shaped(self, source: str, op: Reshape | Move) -> None:
        """Write what brings values whose channels are last into an operator's shape."""
        shape = self.constant(f"{op.output}/new_shape", np.array([0, *op.shape], np.int64))
        if len(op.shape) == 1:
            self.node("Reshape", [source, shape], op.output)
            return
        self.node("Reshape", [source, shape], f"{op.output}/shaped")
        self.to_channels_first(f"{op.output}/shaped", op.output)

    def _is_flattened_for_layers(self, op: Reshape) -> bool:
        """Whether an image is flattened for Linear layers alone, whose columns can follow."""
        readers = [other for other in self.graph.ops if op.output in read_names(other)]
        image = len(self.graph.tensors[op.input].shape) == 3 and len(op.shape) == 1
        return image and all(isinstance(reader, Linear) for reader in readers)

    def _layer(
        self, op: Conv2d | Linear, codes: npt.NDArray[np.int8], kind: str, **attributes: Any
    ) -> None:
        epilogue, source = op.epilogue, self.graph.tensors[op.input]
        target_scale = 1.0 if epilogue.logits else self.graph.tensors[op.output].scale
        unit = epilogue.multiplier.astype(np.float64) * target_scale
        read = op.input
        if type_for(op.weight_bits, self._opset) == "INT2":
            read = f"{op.output}/input"
            self.by_arithmetic(op.input, read)
        codes = narrow(codes, op.weight_bits, self._opset)
        weight = self.integers(f"{op.layer}/weight", codes, unit / source.scale)
        bias = self.integers(f"{op.layer}/bias", epilogue.bias, unit)
        result = op.output if epilogue.logits else f"{op.output}/float"
        self.node(kind, [read, weight, bias], result, **attributes)
        if not epilogue.logits:
            self._round(result, op.output, epilogue.clip_min, epilogue.clip_max)

    def _channels_first(self, op: Linear) -> npt.NDArray[np.int8]:
        """Return a matrix whose columns are in the order of a flattened `(C, H, W)` image."""
        for other in self.graph.ops:
            if not isinstance(other, Reshape) or other.output != op.input:
                continue
            if self._is_flattened_for_layers(other):
                height, width, channels = self.graph.tensors[other.input].shape
                image = op.weight.reshape(-1, height, width, channels)
                return image.transpose(0, 3, 1, 2).reshape(op.weight.shape)
        return op.weight

    def _round(self, source: str, name: str, clip_min: int, clip_max: int) -> None:
        """Clip a float value and round it to the codes of a tensor of the graph.

        Narrow codes are of eight bits whatever their width: they are never stored, and ONNX Runtime
        cannot run every operator between narrower ones.
        """
        tensor = self.graph.tensors[name]
        stored, limits = "UINT8", (0, _NARROW_MAX)
        if tensor.dtype == "int16":
            stored, limits = "INT16", (WIDE_MIN, WIDE_MAX)
        if (clip_min, clip_max) != limits:
            clipped = f"{name}/clipped"
            ends = [
                self.scalar(f"{clipped}/{end}", (code - tensor.zero_point) * tensor.scale)
                for end, code in (("min", clip_min), ("max", clip_max))
            ]
            self.node("Clip", [source, *ends], clipped)
            source = clipped
        self.quantize(source, name, tensor.scale, tensor.zero_point, stored)


def _window(op: MaxPool2d | AvgPool2d) -> dict[str, list[int]]:
    (ph, pw) = op.padding
    return {
        "kernel_shape": list(op.kernel),
        "strides": list(op.stride),
        "pads": [ph, pw, ph, pw],
    }


_EMIT: dict[type, Any] = {
    QuantizeInput: _Builder.quantize_input,
    Conv2d: _Builder.conv2d,
    Linear: _Builder.linear,
    Add: _Builder.add,
    Multiply: _Builder.multiply,
    MatMul: _Builder.matmul,
    Lookup: _Builder.lookup,
    Requantize: _Builder.requantize,
    MaxPool2d: _Builder.max_pool,
    AvgPool2d: _Builder.avg_pool,
    Reshape: _Builder.reshape,
    Move: _Builder.move,
    Embedding: _Builder.embedding,
    Constant: _Builder.write_constant,
    Concat: _Builder.concat,
    Dequantize: _Builder.dequantize,
    RunIsland: _Builder.run_island,
    Pad2d: _Builder.pad,
}
