"""PyTorch's operators in ONNX's: those that float islands are made of.

Those that only move values are in `onnx_moves`, recurrent networks and attention in
`onnx_sequences`.
Source: onnx.ai/onnx/operators, version 21; PyTorch's native_functions.yaml for the names.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.export.onnx_moves import MOVES
from experiments.export.onnx_sequences import SEQUENCES
from experiments.export.onnx_writer import Given, Write, Writer, as_list, expect


def _unary(*kinds: str, **attributes: Any) -> Write:
    """Return what writes operators of one input, one after the other; attributes of the last."""

    def write(to: Writer, given: Given) -> str:
        value = next(iter(given.values()))
        for kind in kinds[:-1]:
            value = to.emit(kind, [value])
        return to.emit(kinds[-1], [value], **attributes)

    return write


def _binary(kind: str) -> Write:
    def write(to: Writer, given: Given) -> str:
        other = given["other"]
        if given.get("alpha", 1) != 1:
            other = to.emit("Mul", [other, given["alpha"]])
        return to.emit(kind, [given["self"], other])

    return write


def _with_attributes(kind: str, **names: str) -> Write:
    """Return what writes an operator of one input, whose attributes are arguments of PyTorch's."""

    def write(to: Writer, given: Given) -> str:
        attributes = {attribute: given[name] for attribute, name in names.items()}
        return to.emit(kind, [given["self"]], **attributes)

    return write


def _silu(to: Writer, given: Given) -> str:
    return to.emit("Mul", [given["self"], to.emit("Sigmoid", [given["self"]])])


def _elu(to: Writer, given: Given) -> str:
    expect(given["scale"] == 1 and given["input_scale"] == 1, "it is scaled")
    return to.emit("Elu", [given["self"]], alpha=float(given["alpha"]))


def _softplus(to: Writer, given: Given) -> str:
    scaled = to.emit("Mul", [given["self"], given["beta"]])
    return to.emit("Div", [to.emit("Softplus", [scaled]), given["beta"]])


def _prelu(to: Writer, given: Given) -> str:
    beside = [1] * (len(to.shape(given["self"])) - 2)
    slope = to.emit("Reshape", [given["weight"], to.constant([-1, *beside])])
    return to.emit("PRelu", [given["self"], slope])


def _clip(low: str | float | None, high: str | float | None) -> Write:
    """Return what clips; a name is that of an argument, None no limit."""

    def write(to: Writer, given: Given) -> str:
        ends = [given[end] if isinstance(end, str) else end for end in (low, high)]
        return to.emit("Clip", [given["self"], *ends])

    return write


def _reduce(kind: str) -> Write:
    def write(to: Writer, given: Given) -> str:
        dims = given["dim"]
        axes = None if dims is None or dims == [] else to.constant(as_list(dims))
        return to.emit(kind, [given["self"], axes], keepdims=int(given["keepdim"]))

    return write


def _softmax(kind: str) -> Write:
    return _with_attributes(kind, axis="dim")


def _conv(to: Writer, given: Given) -> str:
    kernel = to.shape(given["weight"])[2:]
    dilations, padding = _spatial(given["dilation"], kernel), given["padding"]
    if isinstance(padding, str):
        reach = [d * (k - 1) * (padding == "same") for d, k in zip(dilations, kernel, strict=True)]
        pads = [total // 2 for total in reach] + [total - total // 2 for total in reach]
    else:
        pads = 2 * _spatial(padding, kernel)
    return to.emit(
        "Conv",
        _weighted_inputs(given),
        strides=_spatial(given["stride"], kernel),
        pads=pads,
        dilations=dilations,
        group=given["groups"],
    )


def _conv_transpose(to: Writer, given: Given) -> str:
    kernel = to.shape(given["weight"])[2:]
    return to.emit(
        "ConvTranspose",
        _weighted_inputs(given),
        strides=_spatial(given["stride"], kernel),
        pads=2 * _spatial(given["padding"], kernel),
        output_padding=_spatial(given["output_padding"], kernel),
        dilations=_spatial(given["dilation"], kernel),
        group=given["groups"],
    )


def _linear(to: Writer, given: Given) -> str:
    columns = to.emit("Transpose", [given["weight"]], perm=[1, 0])
    product = to.emit("MatMul", [given["input"], columns])
    return product if given["bias"] is None else to.emit("Add", [product, given["bias"]])


def _batch_norm(to: Writer, given: Given) -> str:
    expect(not given["training"], "it is in training")
    size = to.shape(given["running_mean"])
    weight, bias = _scale_and_shift(to, given, size)
    known = [given["input"], weight, bias, given["running_mean"], given["running_var"]]
    return to.emit("BatchNormalization", known, epsilon=float(given["eps"]))


def _layer_norm(to: Writer, given: Given) -> str:
    size = tuple(given["normalized_shape"])
    known = [given["input"], *_scale_and_shift(to, given, size)]
    return to.emit("LayerNormalization", known, axis=-len(size), epsilon=float(given["eps"]))


def _group_norm(to: Writer, given: Given) -> str:
    known = [given["input"], *_scale_and_shift(to, given, to.shape(given["input"])[1:2])]
    groups = given["num_groups"]
    return to.emit("GroupNormalization", known, num_groups=groups, epsilon=float(given["eps"]))


def _adaptive_avg_pool(to: Writer, given: Given) -> str:
    """Write the means as two products: PyTorch's windows differ in size and may overlap."""
    rows, columns = to.shape(given["self"])[-2:]
    out_rows, out_columns = given["output_size"]
    left = to.constant(_means(rows, out_rows or rows))
    right = to.constant(_means(columns, out_columns or columns).T)
    return to.emit("MatMul", [to.emit("MatMul", [left, given["self"]]), right])


def _means(size: int, out_size: int) -> Any:
    """Return `[out_size, size]`, whose row i has the weights of window i."""
    matrix = np.zeros((out_size, size), np.float32)
    for i in range(out_size):
        start, end = i * size // out_size, -(-(i + 1) * size // out_size)
        matrix[i, start:end] = 1.0 / (end - start)
    return matrix


def _pool(to: Writer, given: Given) -> str:
    kernel = as_list(given["kernel_size"])
    kernel = kernel * 2 if len(kernel) == 1 else kernel
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": _spatial(given["stride"] or kernel, kernel),
        "pads": 2 * _spatial(given["padding"], kernel),
        "ceil_mode": int(given["ceil_mode"]),
    }
    if "dilation" in given:
        attributes["dilations"] = _spatial(given["dilation"], kernel)
        return to.emit("MaxPool", [given["self"]], **attributes)
    expect(given["divisor_override"] is None, "it has a divisor of its own")
    included = int(given["count_include_pad"])
    return to.emit("AveragePool", [given["self"]], count_include_pad=included, **attributes)


def _spatial(value: int | Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Return one number for each axis of a kernel."""
    listed = as_list(value)
    return listed * len(kernel) if len(listed) == 1 else listed


def _weighted_inputs(given: Given) -> list[Any]:
    bias = [] if given["bias"] is None else [given["bias"]]
    return [given["input"], given["weight"], *bias]


def _scale_and_shift(to: Writer, given: Given, size: tuple[int, ...]) -> tuple[Any, Any]:
    ones, zeros = np.ones(size, np.float32), np.zeros(size, np.float32)
    return (
        to.constant(ones) if given["weight"] is None else given["weight"],
        to.constant(zeros) if given["bias"] is None else given["bias"],
    )


OPERATORS: dict[str, Write] = {
    **MOVES,
    **SEQUENCES,
    "aten.abs.default": _unary("Abs"),
    "aten.adaptive_avg_pool2d.default": _adaptive_avg_pool,
    "aten.add.Scalar": _binary("Add"),
    "aten.add.Tensor": _binary("Add"),
    "aten.amax.default": _reduce("ReduceMax"),
    "aten.amin.default": _reduce("ReduceMin"),
    "aten.avg_pool2d.default": _pool,
    "aten.batch_norm.default": _batch_norm,
    "aten.bmm.default": lambda to, given: to.emit("MatMul", [given["self"], given["mat2"]]),
    "aten.clamp.default": _clip("min", "max"),
    "aten.clamp_max.default": _clip(None, "max"),
    "aten.clamp_min.default": _clip("min", None),
    "aten.clone.default": _unary("Identity"),
    "aten.contiguous.default": _unary("Identity"),
    "aten.conv1d.default": _conv,
    "aten.conv1d.padding": _conv,
    "aten.conv2d.default": _conv,
    "aten.conv2d.padding": _conv,
    "aten.conv_transpose1d.default": _conv_transpose,
    "aten.conv_transpose2d.input": _conv_transpose,
    "aten.cos.default": _unary("Cos"),
    "aten.div.Scalar": _binary("Div"),
    "aten.div.Tensor": _binary("Div"),
    "aten.elu.default": _elu,
    "aten.erf.default": _unary("Erf"),
    "aten.exp.default": _unary("Exp"),
    "aten.gelu.default": _with_attributes("Gelu", approximate="approximate"),
    "aten.group_norm.default": _group_norm,
    "aten.hardsigmoid.default": _unary("HardSigmoid", alpha=1 / 6, beta=0.5),
    "aten.hardswish.default": _unary("HardSwish"),
    "aten.hardtanh.default": _clip("min_val", "max_val"),
    "aten.layer_norm.default": _layer_norm,
    "aten.leaky_relu.default": lambda to, given: to.emit(
        "LeakyRelu", [given["self"]], alpha=float(given["negative_slope"])
    ),
    "aten.linear.default": _linear,
    "aten.log.default": _unary("Log"),
    "aten.log_sigmoid.default": _unary("Neg", "Softplus", "Neg"),
    "aten.log_softmax.int": _softmax("LogSoftmax"),
    "aten.matmul.default": _binary("MatMul"),
    "aten.max_pool2d.default": _pool,
    "aten.maximum.default": _binary("Max"),
    "aten.mean.dim": _reduce("ReduceMean"),
    "aten.minimum.default": _binary("Min"),
    "aten.mish.default": _unary("Mish"),
    "aten.mul.Scalar": _binary("Mul"),
    "aten.mul.Tensor": _binary("Mul"),
    "aten.neg.default": _unary("Neg"),
    "aten.pow.Tensor_Scalar": lambda to, given: to.emit("Pow", [given["self"], given["exponent"]]),
    "aten.prelu.default": _prelu,
    "aten.reciprocal.default": _unary("Reciprocal"),
    "aten.relu.default": _unary("Relu"),
    "aten.relu6.default": _clip(0.0, 6.0),
    "aten.rsqrt.default": _unary("Sqrt", "Reciprocal"),
    "aten.rsub.Scalar": lambda to, given: to.emit("Sub", [given["other"], given["self"]]),
    "aten.selu.default": _unary("Selu"),
    "aten.sigmoid.default": _unary("Sigmoid"),
    "aten.silu.default": _silu,
    "aten.sin.default": _unary("Sin"),
    "aten.softmax.int": _softmax("Softmax"),
    "aten.softplus.default": _softplus,
    "aten.sqrt.default": _unary("Sqrt"),
    "aten.sub.Scalar": _binary("Sub"),
    "aten.sub.Tensor": _binary("Sub"),
    "aten.sum.dim_IntList": _reduce("ReduceSum"),
    "aten.tanh.default": _unary("Tanh"),
}
"""By PyTorch's name and overload."""
