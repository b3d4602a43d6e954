"""Operators with odd attributes, of opsets 7 to 21: as ONNX Runtime has them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.helper import make_node
from torch import nn

from tests.env.tasks.onnx_network.agreement import (
    captured,
    imported,
    train_one_step,
    write,
)

_RNG = np.random.default_rng(1)
IMAGE, ROW, VECTOR = (4, 7, 6), (4, 9), (6,)


def weights(*shape: int) -> np.ndarray:
    return (_RNG.normal(size=shape) / 2).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def number(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def one(kind: str, *inputs: str, **attributes: Any) -> list[onnx.NodeProto]:
    return [make_node(kind, ["x", *inputs], ["y"], **attributes)]


W3, W1D = weights(6, 4, 3, 3), weights(6, 4, 3)
NORM = {
    "scale": weights(4) + 1,
    "shift": weights(4),
    "mean": weights(4),
    "variance": np.abs(weights(4)) + 0.5,
}
Case = tuple[list[onnx.NodeProto], dict[str, np.ndarray], tuple[int, ...], int]

CASES: dict[str, Case] = {
    "conv same upper": (
        one("Conv", "w", auto_pad="SAME_UPPER", strides=[2, 2]),
        {"w": W3},
        IMAGE,
        9,
    ),
    "conv same lower": (
        one("Conv", "w", auto_pad="SAME_LOWER", strides=[2, 2]),
        {"w": W3},
        IMAGE,
        13,
    ),
    "conv valid": (one("Conv", "w", auto_pad="VALID", dilations=[2, 1]), {"w": W3}, IMAGE, 21),
    "conv uneven": (one("Conv", "w", pads=[0, 1, 2, 1]), {"w": W3}, IMAGE, 17),
    "conv grouped": (
        one("Conv", "w", "b", group=2, pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        {"w": weights(6, 2, 3, 3), "b": weights(6)},
        IMAGE,
        11,
    ),
    "conv 1d uneven": (one("Conv", "w", pads=[0, 2], strides=[2]), {"w": W1D}, ROW, 11),
    "conv 1d same lower": (
        one("Conv", "w", auto_pad="SAME_LOWER"),
        {"w": weights(3, 4, 4)},
        ROW,
        12,
    ),
    "transposed": (
        one("ConvTranspose", "w", "b", strides=[2, 2], output_padding=[1, 0], pads=[1, 1, 1, 1]),
        {"w": weights(4, 3, 3, 3), "b": weights(3)},
        IMAGE,
        11,
    ),
    "transposed uneven": (
        one("ConvTranspose", "w", strides=[2, 2], pads=[0, 1, 1, 0]),
        {"w": weights(4, 3, 3, 3)},
        IMAGE,
        11,
    ),
    "transposed same": (
        one("ConvTranspose", "w", strides=[2, 2], auto_pad="SAME_UPPER", group=2),
        {"w": weights(4, 3, 3, 3)},
        IMAGE,
        13,
    ),
    "transposed to a shape": (
        one("ConvTranspose", "w", strides=[2], output_shape=[18]),
        {"w": weights(4, 3, 3)},
        ROW,
        11,
    ),
    "gemm": (
        one("Gemm", "w", "b", alpha=0.5, beta=2.0, transB=1),
        {"w": weights(3, 6), "b": weights(3)},
        VECTOR,
        9,
    ),
    "gemm across": (
        one("Gemm", "w", "b", alpha=1.0, transB=0),
        {"w": weights(6, 3), "b": weights(1)},
        VECTOR,
        13,
    ),
    "gemm without bias": (one("Gemm", "w"), {"w": weights(6, 3)}, VECTOR, 11),
    "gemm bias 2d": (one("Gemm", "w", "b"), {"w": weights(6, 3), "b": weights(1, 3)}, VECTOR, 7),
    "matmul": (one("MatMul", "w"), {"w": weights(6, 3)}, VECTOR, 9),
    "matmul of images": (one("MatMul", "w"), {"w": weights(6, 3)}, IMAGE, 13),
    "matmul before": (
        [make_node("MatMul", ["w", "x"], ["y"])],
        {"w": weights(3, 7)},
        IMAGE,
        13,
    ),
    "batch norm": (
        one("BatchNormalization", *NORM, epsilon=0.1),
        NORM,
        IMAGE,
        9,
    ),
    "batch norm 1d": (one("BatchNormalization", *NORM, epsilon=1e-3), NORM, ROW, 15),
    "clip 6": (one("Clip", min=0.0, max=6.0), {}, IMAGE, 9),
    "clip of attributes": (one("Clip", max=0.5), {}, IMAGE, 7),
    "clip low alone": (one("Clip", "low"), {"low": number(0)}, IMAGE, 11),
    "clip high alone": (one("Clip", "", "high"), {"high": number(0.7)}, IMAGE, 12),
    "clip without bounds": (
        [make_node("Clip", ["x"], ["z"]), make_node("Abs", ["z"], ["y"])],
        {},
        IMAGE,
        13,
    ),
    "leaky relu": (one("LeakyRelu", alpha=0.3), {}, IMAGE, 16),
    "prelu": (one("PRelu", "slope"), {"slope": weights(4, 1, 1)}, IMAGE, 9),
    "prelu one": (one("PRelu", "slope"), {"slope": weights(1)}, IMAGE, 16),
    "hard sigmoid": (one("HardSigmoid"), {}, IMAGE, 9),
    "hard sigmoid of torch": (one("HardSigmoid", alpha=1 / 6), {}, IMAGE, 13),
    "hard swish": (one("HardSwish"), {}, IMAGE, 14),
    "elu": (one("Elu", alpha=0.5), {}, IMAGE, 9),
    "selu": (one("Selu"), {}, IMAGE, 9),
    "celu": (one("Celu", alpha=2.0), {}, IMAGE, 12),
    "softplus": (one("Softplus"), {}, IMAGE, 9),
    "softsign": (one("Softsign"), {}, IMAGE, 9),
    "thresholded": (one("ThresholdedRelu", alpha=0.4), {}, IMAGE, 10),
    "gelu": (one("Gelu", approximate="tanh"), {}, IMAGE, 20),
    "mish": (one("Mish"), {}, IMAGE, 18),
    "shrink": (one("Shrink", lambd=0.4, bias=0.4), {}, IMAGE, 9),
    "softmax of before": (one("Softmax", axis=2), {}, IMAGE, 11),
    "softmax": (one("Softmax", axis=1), {}, IMAGE, 13),
    "log softmax": (one("LogSoftmax", axis=-1), {}, VECTOR, 13),
    "max pool same": (
        one("MaxPool", kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
        {},
        IMAGE,
        10,
    ),
    "max pool ceil": (
        one("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        {},
        IMAGE,
        11,
    ),
    "max pool dilated": (one("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]), {}, IMAGE, 12),
    "max pool 1d": (one("MaxPool", kernel_shape=[3], pads=[1, 1]), {}, ROW, 12),
    "average pool": (one("AveragePool", kernel_shape=[2, 2], pads=[1, 1, 1, 1]), {}, IMAGE, 9),
    "average pool counted": (
        one("AveragePool", kernel_shape=[3, 3], pads=[0, 1, 1, 0], count_include_pad=1),
        {},
        IMAGE,
        11,
    ),
    "average pool uneven": (
        one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER"),
        {},
        IMAGE,
        11,
    ),
    "global maximum": (one("GlobalMaxPool"), {}, IMAGE, 9),
    "reduce of attributes": (one("ReduceMean", axes=[2, 3], keepdims=0), {}, IMAGE, 11),
    "reduce of inputs": (one("ReduceMax", "axes"), {"axes": ints(-1)}, IMAGE, 18),
    "reduce sum": (one("ReduceSum", "axes", keepdims=0), {"axes": ints(1)}, IMAGE, 13),
    "reduce l2": (one("ReduceL2", axes=[1]), {}, IMAGE, 13),
    "sum and mean": (
        [
            make_node("Sum", ["x", "x", "c"], ["s"]),
            make_node("Mean", ["s", "x"], ["y"]),
        ],
        {"c": weights(4, 1, 1)},
        IMAGE,
        9,
    ),
    "maximum with zero": (one("Max", "zero"), {"zero": number(0)}, IMAGE, 13),
    "division": (
        [
            make_node("Abs", ["x"], ["a"]),
            make_node("Add", ["a", "one"], ["b"]),
            make_node("Div", ["x", "b"], ["y"]),
        ],
        {"one": number(1)},
        IMAGE,
        13,
    ),
    "number before": ([make_node("Sub", ["c", "x"], ["y"])], {"c": number(2)}, IMAGE, 13),
    "number over": (
        [make_node("Exp", ["x"], ["e"]), make_node("Div", ["c", "e"], ["y"])],
        {"c": number(2)},
        IMAGE,
        13,
    ),
    "power": (one("Pow", "c"), {"c": number(3)}, IMAGE, 13),
    "gelu by erf": (
        [
            make_node("Div", ["x", "root"], ["a"]),
            make_node("Erf", ["a"], ["b"]),
            make_node("Add", ["b", "one"], ["c"]),
            make_node("Mul", ["x", "c"], ["d"]),
            make_node("Mul", ["d", "half"], ["y"]),
        ],
        {"root": number(2**0.5), "one": number(1), "half": number(0.5)},
        IMAGE,
        9,
    ),
    "concat of a constant": (
        [make_node("Concat", ["c", "x"], ["y"], axis=1)],
        {"c": weights(1, 2, 7, 6)},
        IMAGE,
        13,
    ),
    "split of attributes": (
        [
            make_node("Split", ["x"], ["a", "b"], axis=1, split=[1, 3]),
            make_node("Concat", ["b", "a"], ["y"], axis=1),
        ],
        {},
        IMAGE,
        11,
    ),
    "split equally": (
        [
            make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2),
            make_node("Mul", ["a", "b"], ["y"]),
        ],
        {},
        IMAGE,
        18,
    ),
    "slice of attributes": (
        one("Slice", starts=[0, 1], ends=[9999, -1], axes=[0, 2]),
        {},
        IMAGE,
        9,
    ),
    "slice backwards": (
        one("Slice", "s", "e", "a", "t"),
        {"s": ints(-1), "e": ints(-9999), "a": ints(3), "t": ints(-2)},
        IMAGE,
        13,
    ),
    "gather": (one("Gather", "i", axis=1), {"i": ints(3, -4, 1)}, IMAGE, 13),
    "gather one": (one("Gather", "i", axis=2), {"i": np.array(-1)}, IMAGE, 13),
    "gather square": (
        one("Gather", "i", axis=1),
        {"i": np.array([[0, 1], [2, 3]])},
        IMAGE,
        13,
    ),
    "transpose": (one("Transpose", perm=[0, 2, 3, 1]), {}, IMAGE, 9),
    "flatten": (
        [make_node("Flatten", ["x"], ["f"], axis=2), make_node("Reshape", ["f", "s"], ["y"])],
        {"s": ints(-1, 4, 42)},
        IMAGE,
        9,
    ),
    "flatten negative": (one("Flatten", axis=-3), {}, IMAGE, 13),
    "squeeze": (
        [
            make_node("ReduceMean", ["x"], ["m"], axes=[2, 3]),
            make_node("Squeeze", ["m", "a"], ["y"]),
        ],
        {"a": ints(2, 3)},
        IMAGE,
        13,
    ),
    "unsqueeze of attributes": (one("Unsqueeze", axes=[1, -1]), {}, VECTOR, 11),
    "reshape copied": (one("Reshape", "s"), {"s": ints(0, 0, -1)}, IMAGE, 9),
    "reshape rows": (one("Reshape", "s"), {"s": ints(-1, 12, 14)}, IMAGE, 14),
    "tile": (one("Tile", "r"), {"r": ints(1, 2, 1, 3)}, IMAGE, 13),
    "pad of attributes": (
        one("Pad", pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="constant", value=0.5),
        {},
        IMAGE,
        9,
    ),
    "pad reflected": (
        one("Pad", "p", mode="reflect"),
        {"p": ints(0, 0, 1, 2, 0, 0, 0, 1)},
        IMAGE,
        13,
    ),
    "pad of axes": (
        one("Pad", "p", "v", "a", mode="constant"),
        {"p": ints(1, 2), "v": number(0), "a": ints(-1)},
        IMAGE,
        19,
    ),
    "pad of channels": (one("Pad", "p"), {"p": ints(0, 1, 0, 0, 0, 3, 0, 0)}, IMAGE, 13),
    "depth to space": (one("DepthToSpace", blocksize=2, mode="DCR"), {}, IMAGE, 11),
    "depth to space shuffled": (one("DepthToSpace", blocksize=2, mode="CRD"), {}, IMAGE, 13),
    "space to depth": (one("SpaceToDepth", blocksize=2), {}, (3, 6, 4), 13),
    "instance norm": (
        one("InstanceNormalization", "scale", "shift"),
        {name: NORM[name] for name in ("scale", "shift")},
        IMAGE,
        9,
    ),
    "layer norm": (
        one("LayerNormalization", "scale", "shift", epsilon=0.01),
        {"scale": weights(6), "shift": weights(6)},
        IMAGE,
        17,
    ),
    "layer norm of two": (
        one("LayerNormalization", "scale", axis=-2),
        {"scale": weights(7, 6)},
        IMAGE,
        17,
    ),
    "group norm": (
        one("GroupNormalization", "scale", "shift", num_groups=2),
        {name: NORM[name] for name in ("scale", "shift")},
        IMAGE,
        21,
    ),
    "local response": (one("LRN", size=3, alpha=0.1, beta=0.5, bias=2.0), {}, IMAGE, 13),
    "lp": (one("LpNormalization", axis=1, p=2), {}, IMAGE, 9),
    "where": (
        [make_node("Greater", ["x", "z"], ["m"]), make_node("Where", ["m", "x", "c"], ["y"])],
        {"z": number(0.1), "c": weights(6)},
        IMAGE,
        13,
    ),
    "cast": (
        [
            make_node("Cast", ["x"], ["h"], to=onnx.TensorProto.DOUBLE),
            make_node("Sin", ["h"], ["i"]),
            make_node("Cast", ["i"], ["y"], to=onnx.TensorProto.FLOAT),
        ],
        {},
        IMAGE,
        13,
    ),
    "dropout of before": (one("Dropout", ratio=0.3), {}, IMAGE, 10),
    "einsum": (one("Einsum", "w", equation="nchw,cd->ndhw"), {"w": weights(4, 3)}, IMAGE, 13),
    "cumulated": (one("ReduceLogSumExp", "axes"), {"axes": ints(3)}, IMAGE, 18),
    "upsample": (
        one("Upsample", "s", mode="nearest"),
        {"s": np.array([1, 1, 2, 3], np.float32)},
        IMAGE,
        9,
    ),
    "shape in pieces": (
        [
            make_node("Shape", ["x"], ["shape"]),
            make_node("Gather", ["shape", "zero"], ["n"], axis=0),
            make_node("Gather", ["shape", "one"], ["c"], axis=0),
            make_node("Mul", ["c", "two"], ["c2"]),
            make_node("Unsqueeze", ["n"], ["n1"], axes=[0]),
            make_node("Unsqueeze", ["c2"], ["c1"], axes=[0]),
            make_node("Concat", ["n1", "c1", "rest"], ["sizes"], axis=0),
            make_node("Reshape", ["x", "sizes"], ["y"]),
        ],
        {"zero": np.array(0), "one": np.array(1), "two": np.array(2), "rest": ints(-1)},
        IMAGE,
        11,
    ),
    "expanded to the batch": (
        [
            make_node("Shape", ["x"], ["shape"]),
            make_node("Equal", ["shape", "none"], ["open"]),
            make_node("Where", ["open", "shape", "shape"], ["sizes"]),
            make_node("Expand", ["c", "sizes"], ["wide"]),
            make_node("Concat", ["x", "wide"], ["y"], axis=2),
        ],
        {"c": weights(1, 4, 1, 1), "none": ints(-1)},
        IMAGE,
        13,
    ),
    "a view by strides": (  # what PyTorch writes of a pooling whose input has its channels last
        [
            make_node("Abs", ["x"], ["a"]),
            make_node("Shape", ["a"], ["batch"], start=0, end=1),
            make_node("Squeeze", ["batch"], ["n"]),
            make_node("Reshape", ["a", "flat"], ["row"]),
            make_node("Range", ["zero", "n", "one"], ["images"]),
            make_node("Mul", ["images", "size"], ["begins"]),
            make_node("Unsqueeze", ["begins", "last"], ["column"]),
            make_node("Add", ["column", "places"], ["all"]),
            make_node("Gather", ["row", "all"], ["y"], axis=0),
        ],
        {
            "flat": ints(-1),
            "zero": np.array(0),
            "one": np.array(1),
            "size": np.array(36),
            "last": ints(1),
            "places": np.arange(36)[None, ::5].copy(),
        },
        ROW,
        18,
    ),
    "zeros of the batch": (
        [
            make_node("Shape", ["x"], ["shape"]),
            make_node(
                "ConstantOfShape",
                ["shape"],
                ["halves"],
                value=onnx.numpy_helper.from_array(np.array([0.5], np.float32)),
            ),
            make_node("Concat", ["halves", "x"], ["y"], axis=1),
        ],
        {},
        IMAGE,
        9,
    ),
}


ONE_IMAGE = ("concat of a constant",)
"""What ONNX Runtime computes of one image alone, as it was exported."""


@pytest.mark.parametrize("name", CASES)
def test_an_operator_is_as_onnx_runtime_has_it(name: str, tmp_path: Path) -> None:
    nodes, values, shape, opset = CASES[name]
    batches: list[int | str] = [1] if name in ONE_IMAGE else ["n", 1]
    for batch in batches:
        file = write(tmp_path / "n.onnx", nodes, values, [batch, *shape], opset=opset)
        imported(file, *shape)


MODES = [
    (mode, places, rounding)
    for mode, places, rounding in (
        *(
            ("nearest", p, r)
            for p in ("asymmetric", "half_pixel", "align_corners")
            for r in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
        ),
        *(
            ("linear", p, "floor")
            for p in ("asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel")
        ),
        ("cubic", "half_pixel", "floor"),
    )
]


@pytest.mark.parametrize(("mode", "places", "rounding"), MODES)
def test_images_are_resized_as_onnx_runtime_does(
    mode: str, places: str, rounding: str, tmp_path: Path
) -> None:
    settings = {
        "mode": mode,
        "coordinate_transformation_mode": places,
        "nearest_mode": rounding,
    }
    for scales in ([1, 1, 2, 2], [1, 1, 0.5, 0.5]):
        nodes = one("Resize", "", "s", **settings)
        values = {"s": np.array(scales, np.float32)}
        imported(write(tmp_path / "n.onnx", nodes, values, ["n", 3, 6, 8], opset=13), 3, 6, 8)
    if mode != "cubic":
        nodes = one("Resize", "", "", "s", **settings)
        file = write(tmp_path / "n.onnx", nodes, {"s": ints(1, 3, 9, 5)}, [1, 3, 6, 8], opset=19)
        imported(file, 3, 6, 8)


def test_a_constant_after_a_layer_becomes_a_part_of_it(tmp_path: Path) -> None:
    """What TensorFlow and Keras leave: dense layers as products, biases and norms beside them."""
    nodes = [
        make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        make_node("Mul", ["a", "scale"], ["b"]),
        make_node("Add", ["b", "shift"], ["c"]),
        make_node("Relu", ["c"], ["d"]),
        make_node("GlobalAveragePool", ["d"], ["e"]),
        make_node("Flatten", ["e"], ["f"]),
        make_node("MatMul", ["f", "dense/kernel:0"], ["g"]),
        make_node("Add", ["dense/bias:0", "g"], ["y"]),
    ]
    values = {
        "w": weights(8, 4, 3, 3),
        "scale": weights(8, 1, 1),
        "shift": weights(1, 8, 1, 1),
        "dense/kernel:0": weights(8, 5),
        "dense/bias:0": weights(5),
    }
    file = write(tmp_path / "n.onnx", nodes, values, ["n", *IMAGE], opset=13)
    network = imported(file, *IMAGE)
    train_one_step(network, *IMAGE)
    graph = captured(network, *IMAGE)
    assert [node.kind for node in graph.nodes] == [
        "input",
        "conv2d",
        "avg_pool",
        "flatten",
        "linear",
    ]


def test_what_two_operators_read_is_left_as_it_is(tmp_path: Path) -> None:
    nodes = [
        make_node("Conv", ["x", "w"], ["a"]),
        make_node("Add", ["a", "shift"], ["b"]),
        make_node("Mul", ["a", "b"], ["y"]),
    ]
    values = {"w": weights(8, 4, 3, 3), "shift": weights(8, 1, 1)}
    imported(write(tmp_path / "n.onnx", nodes, values, ["n", *IMAGE], opset=13), *IMAGE)


def test_layers_with_the_same_weights_train_together(tmp_path: Path) -> None:
    nodes = [
        make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1], name="first"),
        make_node("Relu", ["a"], ["b"]),
        make_node("Conv", ["b", "w"], ["y"], pads=[1, 1, 1, 1], strides=[2, 2], name="second"),
    ]
    file = write(tmp_path / "n.onnx", nodes, {"w": weights(4, 4, 3, 3)}, [1, *IMAGE])
    network = imported(file, *IMAGE)
    train_one_step(network, *IMAGE)
    layers = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    assert layers[0].weight is layers[1].weight
    assert len(captured(network, *IMAGE).layers) == 2


def test_a_batch_in_the_middle_of_a_shape_is_found(tmp_path: Path) -> None:
    """Attention with the sequence first, whose batch of 1 is in every reshape."""
    nodes = [
        make_node("Transpose", ["x"], ["a"], perm=[2, 0, 1]),
        make_node("Reshape", ["a", "heads"], ["b"]),
        make_node("Transpose", ["b"], ["c"], perm=[1, 0, 2]),
        make_node("Transpose", ["c"], ["d"], perm=[0, 2, 1]),
        make_node("MatMul", ["c", "d"], ["e"]),
        make_node("Reshape", ["e", "flat"], ["y"]),
    ]
    values = {"heads": ints(9, 2, 2), "flat": ints(1, 2 * 81)}
    imported(write(tmp_path / "n.onnx", nodes, values, [1, *ROW]), *ROW)


def test_a_fixed_batch_of_several_is_taken(tmp_path: Path) -> None:
    nodes = [
        make_node("Conv", ["x", "w"], ["a"]),
        make_node("Reshape", ["a", "sizes"], ["y"]),
    ]
    values = {"w": weights(8, 4, 3, 3), "sizes": ints(2, 160)}
    imported(write(tmp_path / "n.onnx", nodes, values, [2, *IMAGE]), *IMAGE)
