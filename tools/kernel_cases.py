"""Small layers and operators, in graphs of their own, that together use every kernel.

They are as small as their kernels' code allows, so that all of them compile in minutes. Their
weights are random but fixed: no kernel's code depends on them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from hardware.target import Transform
from quant.deploy_graph import (
    TABLE_SIZE,
    WIDE_MAX,
    WIDE_MIN,
    Add,
    AvgPool2d,
    Concat,
    Constant,
    Conv2d,
    DeployGraph,
    DeployOp,
    DeployTensor,
    Dequantize,
    Embedding,
    Epilogue,
    Linear,
    Lookup,
    MatMul,
    Matrices,
    MaxPool2d,
    Move,
    Multiply,
    Pad2d,
    QuantizeInput,
    Requantize,
    read_names,
)
from quant.strides import Strides

Bits = tuple[int, int]
"""Of the weights and of the activations."""

Tail = Literal["none", "requantize", "add", "add-requantize", "add-both"]
"""What a layer computes beside its own codes; `add-both` keeps the sum and its narrow codes."""

_EQUAL: tuple[Bits, ...] = tuple((bits, bits) for bits in range(2, 9))


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One graph, and what its plans depend on besides."""

    name: str
    graph: DeployGraph
    batch: int = 1
    threads: int = 1
    transform: Transform = "words"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layer:
    """A layer; a `kernel` of 0 is a dense layer of `channels` features."""

    name: str
    side: int = 16
    channels: int = 32
    out_channels: int = 32
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    border: bool = True
    """Whether the input keeps its padding around it."""
    out_border: int = 0
    tail: Tail = "none"
    batch: int = 1
    threads: int = 1
    transform: Transform = "words"

    @property
    def padding(self) -> int:
        """Rows above and below, columns on either side."""
        return self.dilation * (self.kernel // 2)

    @property
    def out_side(self) -> int:
        """Height and width of the output."""
        window = self.dilation * (self.kernel - 1) + 1
        return (self.side + 2 * self.padding - window) // self.stride + 1


def _depthwise(name: str, side: int, channels: int, **how: Any) -> _Layer:
    return _Layer(
        name=name, side=side, channels=channels, out_channels=channels, groups=channels, **how
    )


_CONV = _Layer(name="conv3x3")
_POINT = _Layer(name="conv1x1", side=14, channels=96, out_channels=40, kernel=1)
_DENSE = _Layer(name="dense", channels=128, out_channels=100, kernel=0)

_LAYERS: tuple[tuple[_Layer, tuple[Bits, ...]], ...] = (
    (_CONV, (*_EQUAL, (2, 3), (4, 6))),
    (replace(_CONV, name="conv3x3-64", side=7, channels=64, out_channels=64), ((3, 7), (6, 8))),
    (
        replace(_CONV, name="conv3x3-large-tiles", side=14, channels=128, out_channels=128),
        ((2, 2), (3, 3)),
    ),
    (replace(_CONV, name="conv3x3-direct", side=12, transform="none"), (*_EQUAL, (2, 3))),
    (replace(_CONV, name="conv3x3-batch", side=8, batch=3), ((4, 4),)),
    (replace(_CONV, name="conv3x3-padded", border=False), ((4, 4), (8, 8))),
    (replace(_CONV, name="conv3x3-out-border", out_border=1), ((5, 5),)),
    (replace(_CONV, name="conv3x3-threads", threads=2), ((4, 4), (8, 8))),
    (
        replace(_CONV, name="conv3x3-stride2", channels=24, out_channels=48, stride=2),
        ((2, 2), (3, 5), (6, 6), (8, 8)),
    ),
    (replace(_CONV, name="conv3x3-first", channels=3, out_channels=16), ((3, 8), (8, 8))),
    (replace(_CONV, name="conv3x3-gray", side=8, channels=1, out_channels=16), ((6, 8),)),
    (
        replace(_CONV, name="conv7x7-stem", side=32, channels=3, kernel=7, stride=2),
        ((4, 8), (8, 8)),
    ),
    (replace(_CONV, name="conv3x3-groups4", out_channels=64, groups=4), ((2, 4), (8, 8))),
    (replace(_CONV, name="conv3x3-dilated", dilation=2), ((4, 4), (8, 8))),
    (replace(_CONV, name="conv3x3-requantize", tail="requantize", out_border=1), ((3, 3),)),
    (replace(_CONV, name="conv3x3-residual", tail="add-requantize"), ((4, 4), (8, 8))),
    (_POINT, ((2, 2), (5, 7), (8, 8))),
    (replace(_POINT, name="conv1x1-stride2", stride=2), ((4, 4),)),
    (replace(_POINT, name="conv1x1-add", tail="add"), ((6, 6),)),
    (replace(_POINT, name="conv1x1-residual", tail="add-both", out_border=1), ((7, 7),)),
    (_DENSE, ((2, 2), (5, 5), (7, 7), (3, 8), (4, 4), (6, 6), (8, 8))),
    (replace(_DENSE, name="dense-batch", batch=4), ((4, 4),)),
    (_depthwise("depthwise3x3", 12, 48), ((2, 2), (4, 4), (8, 8))),
    (_depthwise("depthwise3x3-odd", 12, 19), ((4, 8),)),
    (_depthwise("depthwise3x3-stride2", 12, 48, stride=2), ((8, 8),)),
    (_depthwise("depthwise3x3-threads", 28, 64, threads=2), ((6, 6),)),
    (_depthwise("depthwise5x5", 12, 48, kernel=5), ((4, 4), (8, 8))),
    (_depthwise("depthwise5x5-stride2", 12, 48, kernel=5, stride=2), ((8, 8),)),
)


def layer_cases() -> Iterator[Case]:
    """Return convolutions, matrix products and depthwise layers at chosen bits."""
    for layer, pairs in _LAYERS:
        for bits in pairs:
            yield Case(
                name=f"{layer.name} w{bits[0]}a{bits[1]}",
                graph=_layer_graph(layer, bits),
                batch=layer.batch,
                threads=layer.threads,
                transform=layer.transform,
            )


def _layer_graph(layer: _Layer, bits: Bits) -> DeployGraph:
    border = layer.padding if layer.border else 0
    size, made = (layer.side, layer.side, layer.channels), (layer.out_side,) * 2
    codes = replace(_tensor(size, "uint8"), border=(border, border))
    wide = _tensor((*made, layer.out_channels), "int16")
    narrow = replace(wide, dtype="uint8", border=(layer.out_border, layer.out_border))
    if not layer.kernel:
        codes = _tensor((layer.channels,), "uint8")
        narrow = _tensor((layer.out_channels,), "float32")
    op = _conv(layer, bits) if layer.kernel else _linear(layer, bits)
    if layer.tail == "none":
        return _graph({"codes": codes, "own": narrow}, [op], "own")
    tensors = {"codes": codes, "own": wide}
    ops: list[DeployOp] = [op]
    if layer.tail != "requantize":
        tensors |= {"other": wide, "sum": wide}
        ops.append(_add(("own", "other"), "sum"))
    last = ops[-1].output
    if layer.tail != "add":
        tensors["narrow"] = narrow
        ops.append(_requantize(last, "narrow"))
    return replace(
        _graph(tensors, ops, ops[-1].output),
        kept=(last,) if layer.tail == "add-both" else (),
        # What the residual is added to has no producer here.
        zeros=("other",) if "other" in tensors else (),
    )


def _conv(layer: _Layer, bits: Bits) -> Conv2d:
    weights = (layer.out_channels, layer.kernel, layer.kernel, layer.channels // layer.groups)
    return Conv2d(
        layer=layer.name,
        input="codes",
        output="own",
        weight=_weight(weights, bits[0]),
        weight_bits=bits[0],
        activation_bits=bits[1],
        input_zero_point=0,
        stride=(layer.stride, layer.stride),
        padding=(layer.padding, layer.padding),
        dilation=(layer.dilation, layer.dilation),
        groups=layer.groups,
        epilogue=_epilogue(layer),
    )


def _linear(layer: _Layer, bits: Bits) -> Linear:
    return Linear(
        layer=layer.name,
        input="codes",
        output="own",
        weight=_weight((layer.out_channels, layer.channels), bits[0]),
        weight_bits=bits[0],
        activation_bits=bits[1],
        input_zero_point=0,
        epilogue=_epilogue(layer),
    )


def _weight(shape: tuple[int, ...], bits: int) -> Any:
    largest = 2 ** (bits - 1) - 1
    rng = np.random.default_rng(0)
    return rng.integers(-largest, largest, shape, dtype=np.int8, endpoint=True)


def _epilogue(layer: _Layer) -> Epilogue:
    return Epilogue(
        bias=np.zeros(layer.out_channels, np.int32),
        multiplier=np.full(layer.out_channels, 1e-3, np.float32),
        clip_max=255,
        logits=not layer.kernel,
    )


def operator_cases() -> Iterator[Case]:
    """Return every operator that is no layer."""
    image, halved = (8, 8, 24), (4, 4, 24)
    narrow, wide = _tensor(image, "uint8"), _tensor(image, "int16")
    bordered = replace(narrow, border=(1, 1))
    floats = _tensor((24, 8, 8), "float32")
    windows: dict[str, Any] = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)}
    codes: dict[str, Any] = {"multiplier": 0.1, "zero_point": 3, "clip_min": 0, "clip_max": 255}
    product = Multiply(inputs=("a", "b"), output="y", input_zero_points=(0, 0), **codes)
    max_pool = MaxPool2d(input="x", output="y", **windows)
    avg_pool = AvgPool2d(input="x", output="y", **windows, **codes)
    quantize = QuantizeInput(input="x", output="y", multiplier=59.0, zero_point=37)
    bytes_table, words_table = np.zeros(TABLE_SIZE, np.uint8), np.zeros(TABLE_SIZE, np.int16)
    pad = Pad2d(input="x", output="y", before=(0, 0), after=(1, 1), zero_point=3)
    rows = _tensor(image, "float32")
    heads = Strides(offset=0, sizes=(64, 3, 8), steps=(8, 512, 1))
    keys = Matrices(groups=2, rows=9, depth=20, columns=9, turned=True)
    values = Matrices(groups=2, rows=9, depth=9, columns=20, turned=False)
    gate, sixth = _tensor((1, 1, 24), "int16"), _tensor((8, 8, 5), "uint8")
    operators: Iterable[tuple[str, DeployOp, tuple[DeployTensor, ...]]] = (
        ("quantize-image", quantize, (floats, bordered)),
        ("quantize-vector", quantize, (_tensor((40,), "float32"), _tensor((40,), "uint8"))),
        (
            "dequantize",
            Dequantize(input="x", output="y", multiplier=0.1, zero_point=3),
            (narrow, floats),
        ),
        ("requantize", _requantize("x", "y"), (wide, bordered)),
        ("add", _add(("a", "b"), "y"), (wide, wide, wide)),
        ("multiply", product, (wide, wide, wide)),
        ("multiply-gate", product, (wide, gate, bordered)),
        ("lookup-bytes", Lookup(input="x", output="y", table=bytes_table), (narrow, narrow)),
        ("lookup-words", Lookup(input="x", output="y", table=words_table), (narrow, wide)),
        ("max-pool", max_pool, (narrow, replace(_tensor(halved, "uint8"), border=(1, 1)))),
        ("max-pool-wide", max_pool, (wide, _tensor(halved, "int16"))),
        ("avg-pool", avg_pool, (wide, _tensor(halved, "uint8"))),
        (
            "concat",
            Concat(inputs=("a", "b"), output="y"),
            (narrow, sixth, _tensor((8, 8, 29), "uint8")),
        ),
        ("pad", pad, (narrow, _tensor((9, 9, 24), "uint8"))),
        ("quantize-rows", replace(quantize, last=True), (rows, narrow)),
        (
            "dequantize-rows",
            Dequantize(input="x", output="y", multiplier=0.1, zero_point=3, last=True),
            (wide, rows),
        ),
        (
            "concat-rows",
            Concat(inputs=("a", "b"), output="y", axis=0),
            (narrow, _tensor((1, 8, 24), "uint8"), _tensor((9, 8, 24), "uint8")),
        ),
        (
            "move-heads",
            Move(input="x", output="y", strides=heads, shape=image),
            (narrow, narrow),
        ),
        ("matmul-keys", _matmul(keys, 8, 100), (*_sides(keys), _tensor(keys.made, "int16"))),
        (
            "matmul-values",
            _matmul(values, 8, 128),
            (*_sides(values), _tensor(values.made, "uint8")),
        ),
        ("matmul-few-bits", _matmul(keys, 4, 7), (*_sides(keys), _tensor(keys.made, "uint8"))),
        (
            "embedding",
            Embedding(input="x", output="y", table=np.zeros((50, 40), np.int16), shape=(1, 7, 40)),
            (_tensor((7,), "float32"), _tensor((1, 7, 40), "int16")),
        ),
        ("constant", Constant(output="y", codes=np.zeros(image, np.int16)), (wide,)),
    )
    for name, op, tensors in operators:
        names = (*read_names(op), op.output)
        graph = _graph(dict(zip(names, tensors, strict=True)), [op], op.output)
        yield Case(name=name, graph=graph)


def _sides(matrices: Matrices) -> tuple[DeployTensor, DeployTensor]:
    return _tensor(matrices.left, "uint8"), _tensor(matrices.right, "uint8")


def _matmul(matrices: Matrices, bits: int, right_point: int) -> MatMul:
    return MatMul(
        layer="product",
        inputs=("a", "b"),
        output="y",
        matrices=matrices,
        bits=(bits, bits),
        input_zero_points=(3, right_point),
        multiplier=0.01,
        zero_point=0,
        clip_min=0,
        clip_max=255,
        shape=matrices.made,
    )


def _add(inputs: tuple[str, str], output: str) -> Add:
    return Add(
        inputs=inputs,
        output=output,
        multipliers=(1.0, 0.75),
        clip_min=WIDE_MIN,
        clip_max=WIDE_MAX,
    )


def _requantize(source: str, output: str) -> Requantize:
    return Requantize(
        input=source, output=output, multiplier=0.1, zero_point=3, clip_min=0, clip_max=255
    )


def _tensor(shape: tuple[int, ...], dtype: Literal["uint8", "int16", "float32"]) -> DeployTensor:
    """Return a tensor that gets its name in its graph."""
    return DeployTensor(name="", shape=shape, dtype=dtype)


def _graph(tensors: dict[str, DeployTensor], ops: Iterable[DeployOp], output: str) -> DeployGraph:
    named = {name: replace(tensor, name=name) for name, tensor in tensors.items()}
    first = next(iter(named))
    return DeployGraph(network="case", input=first, output=output, tensors=named, ops=tuple(ops))
