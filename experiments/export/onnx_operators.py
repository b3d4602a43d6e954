"""PyTorch's operators in ONNX's: those that float islands are made of.

Each writer takes what writes nodes and the operator's arguments by name, and returns the name of
the result, or several names for an operator that makes a tuple.
Source: onnx.ai/onnx/operators, version 21; PyTorch's native_functions.yaml for the names.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

__all__ = ["OPERATORS", "Unwritable", "Writer"]

Given = dict[str, Any]

_END = 2**63 - 1
"""ONNX's "to the end" in slices."""


class Unwritable(Exception):
    """Raised for what has no form in ONNX; the message says why."""


class Writer(Protocol):
    """What operators are written with."""

    def emit(self, kind: str, inputs: list[Any], **attributes: Any) -> str:
        """Write an operator and return the name of what it makes; None leaves an input out."""

    def constant(self, value: Any) -> str:
        """Write a constant and return its name."""

    def name(self, value: Any) -> str:
        """Return the name of a value of the graph, or of a number."""

    def shape(self, value: Any = None) -> tuple[int, ...]:
        """Return the shape of a value of the graph, or of what is made now."""


Write = Callable[[Writer, Given], Any]


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
    _expect(given["scale"] == 1 and given["input_scale"] == 1, "it is scaled")
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
        axes = None if dims is None or dims == [] else to.constant(_list(dims))
        return to.emit(kind, [given["self"], axes], keepdims=int(given["keepdim"]))

    return write


def _softmax(kind: str) -> Write:
    return _with_attributes(kind, axis="dim")


def _cat(to: Writer, given: Given) -> str:
    return to.emit("Concat", list(given["tensors"]), axis=given["dim"])


def _parts(to: Writer, given: Given) -> list[str]:
    """Write a chunk or a split as one slice for each part."""
    dim, length = given["dim"], to.shape(given["self"])[given["dim"]]
    sizes = given.get("split_sizes")
    if sizes is None:
        size = given.get("split_size") or -(-length // given["chunks"])
        sizes = [min(size, length - start) for start in range(0, length, size)]
    _expect(dim != 0 and all(isinstance(size, int) for size in sizes), "it splits the batch")
    starts = np.cumsum([0, *sizes]).tolist()
    pairs = pairwise(starts)
    return [_sliced(to, given["self"], dim, start, end, 1) for start, end in pairs]


def _slice(to: Writer, given: Given) -> str:
    start, end, step = given["start"] or 0, given["end"], given["step"]
    end = _END if end is None else end
    _expect(all(isinstance(place, int) for place in (start, end, step)), "it slices the batch")
    return _sliced(to, given["self"], given["dim"], start, end, step)


def _sliced(to: Writer, value: Any, dim: int, start: int, end: int, step: int) -> str:
    places = [to.constant([place]) for place in (start, end, dim, step)]
    return to.emit("Slice", [value, *places])


def _permute(to: Writer, given: Given) -> str:
    rank = len(to.shape(given["self"]))
    return to.emit("Transpose", [given["self"]], perm=[dim % rank for dim in given["dims"]])


def _transpose(to: Writer, given: Given) -> str:
    order = list(range(len(to.shape(given["self"]))))
    one, other = given["dim0"], given["dim1"]
    order[one], order[other] = order[other], order[one]
    return to.emit("Transpose", [given["self"]], perm=order)


def _reshape(to: Writer, given: Given) -> str:
    sizes = list(given.get("size") or given["shape"])
    open_places = [place for place, size in enumerate(sizes) if not isinstance(size, int)]
    _expect(len(open_places) <= 1, "the batch size is in it more than once")
    for place in open_places:
        if -1 in sizes:
            _expect(place == 0, "its shape has two sizes that are not known")
        sizes[place] = 0 if -1 in sizes else -1
    return to.emit("Reshape", [given["self"], to.constant(sizes)])


def _flatten(to: Writer, given: Given) -> str:
    shape = to.shape(given["self"])
    first, last = (dim % len(shape) for dim in (given["start_dim"], given["end_dim"]))
    _expect(first > 0, "it flattens the batch")
    sizes = [0] * first + [-1] + list(shape[last + 1 :])
    return to.emit("Reshape", [given["self"], to.constant(sizes)])


def _axes(kind: str) -> Write:
    return lambda to, given: to.emit(kind, [given["self"], to.constant(_list(given["dim"]))])


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
        _weighted(given),
        strides=_spatial(given["stride"], kernel),
        pads=pads,
        dilations=dilations,
        group=given["groups"],
    )


def _conv_transpose(to: Writer, given: Given) -> str:
    kernel = to.shape(given["weight"])[2:]
    return to.emit(
        "ConvTranspose",
        _weighted(given),
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
    _expect(not given["training"], "it is in training")
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
    kernel = _list(given["kernel_size"])
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
    _expect(given["divisor_override"] is None, "it has a divisor of its own")
    included = int(given["count_include_pad"])
    return to.emit("AveragePool", [given["self"]], count_include_pad=included, **attributes)


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _pad(to: Writer, given: Given) -> str:
    rank, pad = len(to.shape(given["self"])), list(given["pad"])
    _expect(all(isinstance(size, int) for size in pad), "it pads by the batch size")
    pad += [0] * (2 * rank - len(pad))  # PyTorch begins with the last axis
    pads = to.constant([*pad[0::2][::-1], *pad[1::2][::-1]])
    mode, value = _PAD_MODES[given.get("mode", "constant")], given.get("value") or 0.0
    return to.emit("Pad", [given["self"], pads, float(value)], mode=mode)


def _upsample(mode: str) -> Write:
    def write(to: Writer, given: Given) -> str:
        size, made = to.shape(given["input"])[2:], to.shape()[2:]
        whole = all(new % old == 0 for old, new in zip(size, made, strict=True))
        _expect(whole or given.get("scale_factors") is None, "its factor is no whole number")
        how = "asymmetric" if mode == "nearest" else "half_pixel"
        if given.get("align_corners"):
            how = "align_corners"
        return to.emit(
            "Resize",
            [given["input"], None, None, to.constant(list(made))],
            axes=list(range(2, 2 + len(made))),
            mode=mode,
            coordinate_transformation_mode=how,
            nearest_mode="floor",
        )

    return write


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Unwritable(otherwise)


def _list(value: int | Sequence[int]) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def _spatial(value: int | Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Return one number for each axis of a kernel."""
    listed = _list(value)
    return listed * len(kernel) if len(listed) == 1 else listed


def _weighted(given: Given) -> list[Any]:
    bias = [] if given["bias"] is None else [given["bias"]]
    return [given["input"], given["weight"], *bias]


def _scale_and_shift(to: Writer, given: Given, size: tuple[int, ...]) -> tuple[Any, Any]:
    ones, zeros = np.ones(size, np.float32), np.zeros(size, np.float32)
    return (
        to.constant(ones) if given["weight"] is None else given["weight"],
        to.constant(zeros) if given["bias"] is None else given["bias"],
    )


OPERATORS: dict[str, Write] = {
    "aten.abs.default": _unary("Abs"),
    "aten.adaptive_avg_pool2d.default": _adaptive_avg_pool,
    "aten.add.Scalar": _binary("Add"),
    "aten.add.Tensor": _binary("Add"),
    "aten.amax.default": _reduce("ReduceMax"),
    "aten.amin.default": _reduce("ReduceMin"),
    "aten.avg_pool2d.default": _pool,
    "aten.batch_norm.default": _batch_norm,
    "aten.cat.default": _cat,
    "aten.chunk.default": _parts,
    "aten.clamp.default": _clip("min", "max"),
    "aten.clamp_max.default": _clip(None, "max"),
    "aten.clamp_min.default": _clip("min", None),
    "aten.clone.default": _unary("Identity"),
    "aten.constant_pad_nd.default": _pad,
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
    "aten.flatten.using_ints": _flatten,
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
    "aten.pad.default": _pad,
    "aten.permute.default": _permute,
    "aten.pixel_shuffle.default": lambda to, given: to.emit(
        "DepthToSpace", [given["self"]], blocksize=given["upscale_factor"], mode="CRD"
    ),
    "aten.pow.Tensor_Scalar": lambda to, given: to.emit("Pow", [given["self"], given["exponent"]]),
    "aten.prelu.default": _prelu,
    "aten.reciprocal.default": _unary("Reciprocal"),
    "aten.relu.default": _unary("Relu"),
    "aten.relu6.default": _clip(0.0, 6.0),
    "aten.reshape.default": _reshape,
    "aten.rsqrt.default": _unary("Sqrt", "Reciprocal"),
    "aten.rsub.Scalar": lambda to, given: to.emit("Sub", [given["other"], given["self"]]),
    "aten.selu.default": _unary("Selu"),
    "aten.sigmoid.default": _unary("Sigmoid"),
    "aten.silu.default": _silu,
    "aten.sin.default": _unary("Sin"),
    "aten.slice.Tensor": _slice,
    "aten.softmax.int": _softmax("Softmax"),
    "aten.softplus.default": _softplus,
    "aten.split.Tensor": _parts,
    "aten.split_with_sizes.default": _parts,
    "aten.sqrt.default": _unary("Sqrt"),
    "aten.squeeze.dim": _axes("Squeeze"),
    "aten.squeeze.dims": _axes("Squeeze"),
    "aten.sub.Scalar": _binary("Sub"),
    "aten.sub.Tensor": _binary("Sub"),
    "aten.sum.dim_IntList": _reduce("ReduceSum"),
    "aten.tanh.default": _unary("Tanh"),
    "aten.transpose.int": _transpose,
    "aten.unsqueeze.default": _axes("Unsqueeze"),
    "aten.upsample_bilinear2d.vec": _upsample("linear"),
    "aten.upsample_nearest2d.vec": _upsample("nearest"),
    "aten.view.default": _reshape,
}
"""By PyTorch's name and overload."""
