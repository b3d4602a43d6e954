"""The PyTorch operators that have integer forms, and how each becomes a node."""

import operator
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import fx

from quant.capture.exported import argument, shape_of, where
from quant.capture.graph import Clip, Padding, Window
from quant.capture.graph_builder import GraphBuilder
from quant.capture.island_module import is_number
from quant.capture.places.moves import is_move
from quant.capture.places.values import sizes_of
from quant.errors import CaptureError

_aten = torch.ops.aten
_ADAPTIVE_MAXIMA = (_aten.adaptive_max_pool2d.default, _aten.adaptive_max_pool1d.default)


def add_operator(builder: GraphBuilder, node: fx.Node) -> None:
    """Add one exported operator to the graph.

    Raises:
        CaptureError: the operator, or these arguments of it, have no integer form.
    """
    if is_number(node) or node.meta.get("val") is None:
        return  # the batch's size, made again where it is needed; or a check of types and sizes
    if node.target is operator.getitem:
        _part(builder, node)
        return
    handler = _HANDLERS.get(node.target)
    if handler is None and is_move(node):
        handler = GraphBuilder.move
    if handler is None:
        raise CaptureError(f"the operator {node.target} has no integer form: {where(node)}")
    handler(builder, node)


def _embedding(builder: GraphBuilder, node: fx.Node) -> None:
    rows = builder.parameter(node, 0)
    if rows is None:
        raise CaptureError(f"an embedding without vectors: {where(node)}")
    builder.add_embedding(node, rows)


def _conv2d(builder: GraphBuilder, node: fx.Node) -> None:
    weight = builder.parameter(node, 1)
    if weight is None:
        raise CaptureError(f"a convolution without weights: {where(node)}")
    groups, padding = int(argument(node, 6, 1)), argument(node, 4, 0)
    pair = _pair if weight.ndim == 4 else _row
    kernel, dilation = pair(weight.shape[2:]), pair(argument(node, 5, 1))
    if isinstance(padding, str):
        reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if padding == "same" and any(value % 2 for value in reach):
            raise CaptureError(f"padding that is not the same on both sides: {where(node)}")
        padding = [value // 2 if padding == "same" else 0 for value in reach][-(weight.ndim - 2) :]
    builder.add_layer(
        node,
        "conv2d",
        {
            "in_channels": weight.shape[1] * groups,
            "kernel": kernel,
            "stride": pair(argument(node, 3, 1)),
            "padding": (0, pair(padding)[1]) if weight.ndim == 3 else pair(padding),
            "dilation": dilation,
            "groups": groups,
        },
    )


def _matmul(builder: GraphBuilder, node: fx.Node) -> None:
    weight = node.args[1].meta["val"]  # type: ignore[union-attr]
    if not builder.is_constant(node.args[1]):
        builder.add_matrices(node)
    elif weight.ndim != 2:
        raise CaptureError(f"a product with a constant that is no matrix: {where(node)}")
    else:
        builder.add_linear(node, turned=True)


def _addmm(builder: GraphBuilder, node: fx.Node) -> None:
    bias = node.args[0].meta["val"]  # type: ignore[union-attr]
    if node.kwargs or bias.ndim != 1 or not builder.is_constant(node.args[2]):
        raise CaptureError(f"a product of two computed tensors: {where(node)}")
    builder.add_linear(node, read=1, turned=True)


def _relu(builder: GraphBuilder, node: fx.Node) -> None:
    builder.add_pointwise(node, "clip", [node.args[0]], clip=Clip())


def _relu6(builder: GraphBuilder, node: fx.Node) -> None:
    builder.add_pointwise(node, "clip", [node.args[0]], clip=Clip(maximum=6.0))


def _hardtanh(builder: GraphBuilder, node: fx.Node) -> None:
    _clip(builder, node, argument(node, 1, -1.0), argument(node, 2, 1.0))


def _clamp(builder: GraphBuilder, node: fx.Node) -> None:
    _clip(builder, node, argument(node, 1), argument(node, 2))


def _clip(builder: GraphBuilder, node: fx.Node, low: Any, high: Any) -> None:
    if low != 0 or not (high is None or high > 0):
        raise CaptureError(f"a clip must be ReLU or ReLU6, found [{low}, {high}]: {where(node)}")
    clip = Clip(maximum=None if high is None else float(high))
    builder.add_pointwise(node, "clip", [node.args[0]], clip=clip)


def _add(builder: GraphBuilder, node: fx.Node) -> None:
    first, second = node.args[:2]
    if not _are_tensors(first, second) or node.kwargs:
        raise CaptureError(f"only the sum of two tensors is supported: {where(node)}")
    if builder.is_constant(first):
        first, second = second, first
    if builder.is_constant(second):
        if _is_one_value(second) or not _has_sizes_of(node, first):
            raise CaptureError(f"the sum with one value: {where(node)}")
        builder.add_to_constant(node, first, second)
        return
    if not _has_sizes_of(node, first) or not _has_sizes_of(node, second):
        raise CaptureError(f"the sum of two shapes (broadcasting) is not supported: {where(node)}")
    builder.add_pointwise(node, "add", [first, second])


def _multiply(builder: GraphBuilder, node: fx.Node) -> None:
    first, second = node.args[:2]
    if isinstance(second, int | float) and builder.scale_matrices(node, first, second):
        return
    if not _are_tensors(first, second):
        raise CaptureError(f"only the product of two tensors is supported: {where(node)}")
    if builder.is_constant(first):
        first, second = second, first
    if not builder.is_constant(second):
        builder.add_product(node, first, second)
    elif _is_one_value(second) or not _has_sizes_of(node, first):
        raise CaptureError(f"the product with one value: {where(node)}")
    else:
        builder.scale_layer(node, first, second)


def _divide(builder: GraphBuilder, node: fx.Node) -> None:
    first, second = node.args[:2]
    divided = isinstance(second, int | float) and second != 0
    if divided and builder.scale_matrices(node, first, 1.0 / float(second)):  # type: ignore[arg-type]
        return
    raise CaptureError(f"a quotient has no integer form: {where(node)}")


def _max_pool(builder: GraphBuilder, node: fx.Node) -> None:
    dilated = _pair(argument(node, 4, 1)) != (1, 1)
    _refuse_pooling(node, argument(node, 5, False) or dilated)
    builder.add_node(node, "max_pool", [node.args[0]], window=_window(node))


def _avg_pool(builder: GraphBuilder, node: fx.Node) -> None:
    window = _window(node)
    uncounted = window.padding != (0, 0) and not argument(node, 5, True)
    _refuse_pooling(node, argument(node, 4, False) or uncounted or argument(node, 6) is not None)
    builder.add_node(node, "avg_pool", [node.args[0]], window=window)


def _adaptive_avg_pool(builder: GraphBuilder, node: fx.Node) -> None:
    window = _adaptive_window(node, node.args[0])
    builder.add_node(node, "avg_pool", [node.args[0]], window=window)


def _part(builder: GraphBuilder, node: fx.Node) -> None:
    """Add one of several tensors: a part of a split, or the maxima of an adaptive pooling."""
    parts, index = node.args
    if isinstance(parts, fx.Node) and builder.is_moved(parts):
        builder.move(node)
        return
    if index or not isinstance(parts, fx.Node) or parts.target not in _ADAPTIVE_MAXIMA:
        raise CaptureError(f"a part of a tuple has no integer form: {where(node)}")
    source = parts.args[0]
    builder.add_node(node, "max_pool", [source], window=_adaptive_window(node, source))


def _adaptive_window(node: fx.Node, read: Any) -> Window:
    source, target = shape_of(read), shape_of(node)
    if source[1] % target[1] or source[2] % target[2]:
        raise CaptureError(
            f"adaptive pooling from {source[1:]} to {target[1:]} does not divide: {where(node)}"
        )
    return _whole_window(source[1] // target[1], source[2] // target[2])


def _mean(builder: GraphBuilder, node: fx.Node) -> None:
    sizes = sizes_of(node.args[0])
    dims = sorted(int(d) % len(sizes) for d in argument(node, 1, None) or [])
    keep = bool(argument(node, 2, False))
    if dims and dims == [axis for axis in range(len(sizes) - 1) if sizes[axis] != -1]:
        builder.add_mean_of_rows(node, keep=keep)
        return
    source = shape_of(node.args[0])
    if len(source) != 3 or dims != list(range(2, len(sizes))):
        raise CaptureError(f"only the mean over height and width is supported: {where(node)}")
    window = _whole_window(source[1], source[2])
    if keep:
        builder.add_node(node, "avg_pool", [node.args[0]], window=window)
    else:
        builder.add_mean(node, window)


def _flatten(builder: GraphBuilder, node: fx.Node) -> None:
    source, target = _sizes(node.args[0]), _sizes(node)
    if source == target:
        builder.pass_through(node)
    elif source[0] == -1 and len(source) in (3, 4) and target == (-1, prod(source[1:])):
        builder.flatten(node)
    else:
        builder.move(node)


def _sizes(node: Any) -> tuple[int, ...]:
    """Return the sizes of an exported node's tensor, none where they are not those of a batch."""
    try:
        return sizes_of(node)
    except CaptureError:
        return (0,)


def _concat(builder: GraphBuilder, node: fx.Node) -> None:
    parts = list(argument(node, 0))
    dim = int(argument(node, 1, 0)) % node.meta["val"].ndim
    if all(map(builder.is_constant, parts)):
        raise CaptureError(f"constants are joined: {where(node)}")
    builder.add_concat(node, parts, dim)


def _pad(builder: GraphBuilder, node: fx.Node) -> None:
    if argument(node, 2, "constant") != "constant" or argument(node, 3):
        raise CaptureError(f"padding with other values than zeros: {where(node)}")
    _pad_zeros(builder, node)


def _constant_pad(builder: GraphBuilder, node: fx.Node) -> None:
    if argument(node, 2, 0):
        raise CaptureError(f"padding with other values than zeros: {where(node)}")
    _pad_zeros(builder, node)


def _pad_zeros(builder: GraphBuilder, node: fx.Node) -> None:
    sizes = list(node.args[1])  # type: ignore[arg-type]
    if not any(sizes):
        builder.pass_through(node)
        return
    axes = max(node.meta["val"].ndim - 2, 0)  # the last ones: height and width, or length
    sizes += [0] * (4 - len(sizes))
    whole = all(isinstance(size, int) and size >= 0 for size in sizes)
    if not whole or any(sizes[2 * axes :]):
        raise CaptureError(
            f"padding that removes rows or columns, or is not of height and width: {where(node)}"
        )
    left, right, above, below = sizes[:4]
    padding = Padding(before=(above, left), after=(below, right))
    builder.add_node(node, "pad", [node.args[0]], padding=padding)


def _cast(builder: GraphBuilder, node: fx.Node) -> None:
    if node.meta["val"].dtype != node.args[0].meta["val"].dtype:  # type: ignore[union-attr]
        raise CaptureError(f"a cast to another type: {where(node)}")
    builder.pass_through(node)


def _window(node: fx.Node) -> Window:
    row = node.meta["val"].ndim == 3
    pair = _row if row else _pair
    kernel, stride = pair(node.args[1]), argument(node, 2)
    padding = pair(argument(node, 3, 0))
    return Window(
        kernel=kernel,
        stride=pair(stride) if stride else kernel,
        padding=(0, padding[1]) if row else padding,
    )


def _whole_window(height: int, width: int) -> Window:
    return Window(kernel=(height, width), stride=(height, width), padding=(0, 0))


def _refuse_pooling(node: fx.Node, refused: bool) -> None:
    if refused:
        raise CaptureError(
            f"pooling with ceil_mode, dilation, a divisor or uncounted padding is not supported: "
            f"{where(node)}"
        )


def _has_sizes_of(node: fx.Node, read: Any) -> bool:
    """Whether what an operator makes has the sizes of a tensor that it reads."""
    return bool(node.meta["val"].shape == read.meta["val"].shape)


def _is_one_value(node: Any) -> bool:
    return bool(node.meta["val"].numel() == 1)


def _are_tensors(*values: Any) -> bool:
    """Whether arguments are computed tensors, and no numbers."""
    return all(isinstance(value, fx.Node) and not is_number(value) for value in values)


def _row(value: Any) -> tuple[int, int]:
    """Return the geometry of a sequence as that of an image of one row; 1 in its height."""
    return (1, value if isinstance(value, int) else int(value[0]))


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return (value, value)
    values = [int(v) for v in value]
    return (values[0], values[-1])


_HANDLERS: dict[Any, Callable[[GraphBuilder, fx.Node], None]] = {
    _aten.conv2d.default: _conv2d,
    _aten.conv2d.padding: _conv2d,
    _aten.conv1d.default: _conv2d,
    _aten.conv1d.padding: _conv2d,
    _aten.embedding.default: _embedding,
    _aten.linear.default: GraphBuilder.add_linear,
    _aten.matmul.default: _matmul,
    _aten.mm.default: _matmul,
    _aten.bmm.default: _matmul,
    _aten.addmm.default: _addmm,
    _aten.batch_norm.default: GraphBuilder.add_batch_norm,
    _aten.relu.default: _relu,
    _aten.relu_.default: _relu,
    _aten.relu6.default: _relu6,
    _aten.hardtanh.default: _hardtanh,
    _aten.hardtanh_.default: _hardtanh,
    _aten.clamp.default: _clamp,
    _aten.add.Tensor: _add,
    _aten.add_.Tensor: _add,
    _aten.mul.Tensor: _multiply,
    _aten.mul_.Tensor: _multiply,
    _aten.div.Tensor: _divide,
    _aten.div_.Tensor: _divide,
    _aten.max_pool2d.default: _max_pool,
    _aten.max_pool1d.default: _max_pool,
    _aten.avg_pool2d.default: _avg_pool,
    _aten.avg_pool1d.default: _avg_pool,
    _aten.adaptive_avg_pool2d.default: _adaptive_avg_pool,
    _aten.adaptive_avg_pool1d.default: _adaptive_avg_pool,
    _aten.mean.dim: _mean,
    _aten.flatten.using_ints: _flatten,
    _aten.view.default: _flatten,
    _aten.reshape.default: _flatten,
    _aten.squeeze.default: _flatten,
    _aten.squeeze.dim: _flatten,
    _aten.squeeze.dims: _flatten,
    _aten.cat.default: _concat,
    _aten.pad.default: _pad,
    _aten.constant_pad_nd.default: _constant_pad,
    _aten.dropout.default: GraphBuilder.pass_through,
    _aten.feature_dropout.default: GraphBuilder.pass_through,
    _aten.contiguous.default: GraphBuilder.pass_through,
    _aten.clone.default: GraphBuilder.pass_through,
    _aten.alias.default: GraphBuilder.pass_through,
    _aten.detach.default: GraphBuilder.pass_through,
    _aten.to.dtype: _cast,
    _aten.to.dtype_layout: _cast,
    _aten.to.device: _cast,
    _aten._to_copy.default: _cast,
}
