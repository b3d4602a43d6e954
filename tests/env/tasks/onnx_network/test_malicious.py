"""Files that were made to do harm, or are broken: one sentence, little memory and time."""

import contextlib
import os
import random
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.helper import make_node, make_tensor

from env.errors import TaskError
from env.tasks.onnx_network.limits import OnnxLimits
from env.tasks.onnx_network.load import load_onnx_network
from quant.errors import BitAllocError
from tests.env.tasks.onnx_network.agreement import write
from tests.env.tasks.onnx_network.test_operators import CASES

SHAPE = (3, 6, 6)
_RNG = np.random.default_rng(0)
W = _RNG.normal(size=(4, 3, 3, 3)).astype(np.float32)


def conv() -> onnx.NodeProto:
    return make_node("Conv", ["x", "w"], ["y"], name="layer")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "n.onnx", [conv()], {"w": W}, ["n", *SHAPE])


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """Nothing takes memory for what a file merely claims."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10  # of KiB


def refused(file: Path, says: str, limits: OnnxLimits | None = None) -> str:
    """The sentence: on one line, without anything that moves a terminal, naming the file."""
    with pytest.raises(TaskError) as caught:
        load_onnx_network(file, torch.zeros(2, *SHAPE), limits=limits or OnnxLimits())
    sentence = str(caught.value)
    assert says in sentence, sentence
    assert file.name in sentence
    assert sentence.isprintable()
    assert len(sentence) < 700
    return sentence


def changed(file: Path, change: Callable[[Any], None]) -> Path:
    model = onnx.load(file)
    change(model)
    file.write_bytes(model.SerializeToString())
    return file


def test_a_file_cut_anywhere(file: Path) -> None:
    data = file.read_bytes()
    for end in range(0, len(data), 7):
        file.write_bytes(data[:end])
        with pytest.raises(TaskError):
            load_onnx_network(file, torch.zeros(2, *SHAPE))
    file.write_bytes(data[: len(data) // 2])
    refused(file, "is damaged, or no ONNX model: its end is missing")


def test_bytes_changed_anywhere_are_refused_or_a_network(file: Path) -> None:
    data, chance = file.read_bytes(), random.Random(4)
    for _ in range(200):
        harmed = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            harmed[chance.randrange(len(harmed))] = chance.randrange(256)
        file.write_bytes(harmed)
        with contextlib.suppress(BitAllocError):
            load_onnx_network(file, torch.zeros(2, *SHAPE))


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4" * 50, b"\x80\x05cos\nsystem\n", b"<!DOCTYPE html>"]
)
def test_other_files(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    refused(file, "n.onnx")


def test_no_file_a_folder_and_a_pipe(tmp_path: Path) -> None:
    refused(tmp_path / "none.onnx", "No such file")
    (tmp_path / "f.onnx").mkdir()
    refused(tmp_path / "f.onnx", "it is no regular file")
    os.mkfifo(tmp_path / "p.onnx")
    refused(tmp_path / "p.onnx", "it is no regular file")


def test_files_that_are_large_or_only_say_so(file: Path, tmp_path: Path) -> None:
    with (tmp_path / "large.onnx").open("wb") as large:
        large.truncate(3 << 30)
    refused(tmp_path / "large.onnx", "at most 536,870,912 are read")
    refused(file, "at most 100 are read", OnnxLimits(file_bytes=100))
    # A message that says to be of two gigabytes.
    file.write_bytes(b"\x3a\xff\xff\xff\xff\x07" + file.read_bytes())
    refused(file, "its end is missing")


def test_many_empty_messages_are_counted_before_they_are_parsed(file: Path) -> None:
    nodes = b"\x0a\x00" * 8_000_000  # field 1 of a graph, 16 MB: 800 MB of objects
    length = len(nodes)
    prefix = bytearray(b"\x3a")
    while length:
        prefix.append(length & 0x7F | (0x80 if length > 0x7F else 0))
        length >>= 7
    file.write_bytes(bytes(prefix) + nodes)
    refused(file, "it has more than 500,000 entries")
    changed_nodes = [make_node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(60)]
    changed_nodes[0].input[0] = "x"
    changed_nodes[-1].output[0] = "y"
    write(file, changed_nodes, {}, ["n", *SHAPE])
    refused(file, "has 60 operators, and at most 50 are taken", OnnxLimits(nodes=50))


@pytest.mark.parametrize(
    "place",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        "",
        "sub/w.bin",
        "..\\w.bin",
        "C:w.bin",
        "a\0b",
        "link",
    ],
)
def test_weights_elsewhere(place: str, file: Path, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.bin"
    outside.write_bytes(W.tobytes())
    (tmp_path / "link").symlink_to(outside)

    def move(model: Any) -> None:
        (tensor,) = model.graph.initializer
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", place

    refused(changed(file, move), "in the file or in one beside it")


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({}, None),
        ({"offset": "4"}, "too small"),
        ({"offset": "-1"}, "no more bytes"),
        ({"length": "9" * 30}, "no more bytes"),
        ({"offset": "99999999999"}, "no more bytes"),
        ({"length": "8"}, "too small"),
    ],
)
def test_weights_beside_the_file(
    entries: dict[str, str], says: str | None, file: Path, tmp_path: Path
) -> None:
    def move(model: Any) -> None:
        (tensor,) = model.graph.initializer
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in {"location": "w.bin", **entries}.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value

    (tmp_path / "w.bin").write_bytes(W.tobytes())
    changed(file, move)
    if says is None:
        network = load_onnx_network(file, torch.zeros(2, *SHAPE))
        assert torch.equal(network.layer.weight, torch.from_numpy(W))  # type: ignore[union-attr, arg-type]
        refused(file, "are read", OnnxLimits(file_bytes=len(file.read_bytes()) + 100))
    else:
        refused(file, says)


def test_weights_that_are_not_there_or_claim_to_be_huge(file: Path) -> None:
    data = file.read_bytes()
    refused(changed(file, lambda m: m.graph.ClearField("initializer")), "no valid ONNX model")
    for dims in ([1 << 40, 1 << 20], [-4, 3, 3, 3], [1 << 20, 3, 3, 3], [0]):
        file.write_bytes(data)

        def claim(model: Any, dims: list[int] = dims) -> None:
            del model.graph.initializer[0].dims[:]
            model.graph.initializer[0].dims.extend(dims)

        refused(changed(file, claim), "n.onnx")


def test_an_input_that_claims_to_be_huge(file: Path) -> None:
    def claim(model: Any) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 1 << 60

    refused(changed(file, claim), f"it reads [N, 3, {1 << 60}, 6]")


HUGE = [
    [make_node("Tile", ["x", "r"], ["y"])],
    [make_node("Expand", ["c", "r"], ["e"]), make_node("Add", ["x", "e"], ["y"])],
    [make_node("ConstantOfShape", ["r"], ["e"]), make_node("Add", ["x", "e"], ["y"])],
    [make_node("Pad", ["x", "p"], ["y"])],
    [make_node("Resize", ["x", "", "s"], ["y"])],
    [make_node("Conv", ["x", "w"], ["y"], pads=[1 << 40] * 4)],
    [make_node("ConvTranspose", ["x", "t"], ["y"], strides=[1 << 40] * 2)],
    [make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], pads=[1 << 40, 0, 0, 1])],
    [make_node("Range", ["zero", "far", "one"], ["e"]), make_node("Add", ["x", "e"], ["y"])],
    [make_node("Upsample", ["x"], ["y"])],
]


@pytest.mark.parametrize("nodes", HUGE, ids=lambda nodes: nodes[0].op_type)
def test_operators_that_make_much_of_little(nodes: list[onnx.NodeProto], tmp_path: Path) -> None:
    values = {
        "r": np.array([1, 1 << 20, 1 << 20, 1 << 20]),
        "p": np.array([0, 0, 1 << 40, 0, 0, 0, 0, 0]),
        "s": np.array([1, 1, 1e9, 1], np.float32),
        "c": np.ones((1, 1, 1, 1), np.float32),
        "w": W,
        "t": np.ones((3, 1, 2, 2), np.float32),
        "zero": np.array(0),
        "far": np.array(1 << 60),
        "one": np.array(1),
    }
    refused(write(tmp_path / "n.onnx", nodes, values, ["n", *SHAPE]), "n.onnx")


def test_constants_that_double_again_and_again(tmp_path: Path) -> None:
    nodes = [make_node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(60)]
    nodes += [make_node("Add", ["x", "c60"], ["y"])]
    file = write(tmp_path / "n.onnx", nodes, {"c0": np.ones(1 << 12, np.float32)}, ["n", *SHAPE])
    refused(file, "makes", OnnxLimits(tensor_values=1 << 20))


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 0.0, -2.0])
def test_sizes_that_are_no_numbers(scale: float, tmp_path: Path) -> None:
    nodes = [make_node("Resize", ["x", "", "s"], ["y"])]
    values = {"s": np.array([1, 1, scale, 1], np.float32)}
    refused(write(tmp_path / "n.onnx", nodes, values, ["n", *SHAPE]), "the operator Resize")
    nodes = [
        make_node("Cast", ["s"], ["sizes"], to=onnx.TensorProto.INT64),
        make_node("Reshape", ["x", "sizes"], ["y"]),
    ]
    refused(write(tmp_path / "n.onnx", nodes, values, ["n", *SHAPE]), "the operator Reshape")


def test_a_circle_and_an_operator_before_its_input(tmp_path: Path) -> None:
    circle = [
        make_node("Add", ["x", "b"], ["a"]),
        make_node("Relu", ["a"], ["b"]),
        make_node("Relu", ["b"], ["y"]),
    ]
    refused(write(tmp_path / "n.onnx", circle, {}, ["n", *SHAPE]), "topologically sorted")


def test_graphs_in_graphs(tmp_path: Path) -> None:
    yes = make_tensor("yes", onnx.TensorProto.BOOL, [], [True])

    def branch(depth: int) -> onnx.GraphProto:
        out = [onnx.helper.make_tensor_value_info("o", onnx.TensorProto.FLOAT, ["n", *SHAPE])]
        if not depth:
            return onnx.helper.make_graph([make_node("Relu", ["x"], ["o"])], "g", [], out)
        inner = branch(depth - 1)
        node = make_node("If", ["yes"], ["o"], then_branch=inner, else_branch=branch(0))
        return onnx.helper.make_graph([node], "g", [], out)

    for depth, says in ((0, "the operator If (node 'y') is not taken"), (6, "graphs in graphs")):
        node = make_node("If", ["yes"], ["y"], then_branch=branch(depth), else_branch=branch(0))
        file = write(tmp_path / "n.onnx", [node], {}, ["n", *SHAPE])
        refused(changed(file, lambda m: m.graph.initializer.append(yes)), says)


def test_names_that_are_no_names(tmp_path: Path) -> None:
    """They become modules of other names, and never a method's or a line of their own."""
    names = ["forward", "train", "a.b.c", "a.b", "\x1b[31m", "__class__", "../x", "_parameters", ""]
    nodes, last = [], "x"
    for place, name in enumerate(names):
        nodes.append(make_node("Conv", [last, "w"], [f"v{place}"], pads=[1] * 4, name=name))
        last = f"v{place}"
    nodes.append(make_node("Relu", [last], ["y"], name="forward"))
    values = {"w": np.ones((3, 3, 3, 3), np.float32)}
    file = write(tmp_path / "n.onnx", nodes, values, ["n", *SHAPE])
    network = load_onnx_network(file, torch.zeros(2, *SHAPE))
    assert network(torch.zeros(2, *SHAPE)).shape == (2, *SHAPE)
    paths = [name for name, part in network.named_modules() if not list(part.children())]
    assert len(paths) == len(names) + 1
    assert callable(network.train)
    assert network.train() is network


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (make_node("Loop", ["", "", "x"], ["y"]), "n.onnx"),
        (make_node("Conv", ["x", "x"], ["y"]), "from what the network computes"),
        (make_node("NonZero", ["x"], ["y"]), "the operator NonZero (node 'y') is not taken"),
        (make_node("Gather", ["x", "zero"], ["y"], axis=0), "picks some images of a batch"),
        (make_node("ReduceMean", ["x"], ["y"], keepdims=1), "reduces over the batch"),
        (make_node("Concat", ["x", "x"], ["y"], axis=0), "expected an output [N, ...]"),
        (make_node("Reshape", ["x", "wrong"], ["y"]), "the batch cannot be told"),
    ],
)
def test_what_is_not_taken_is_named(node: onnx.NodeProto, says: str, tmp_path: Path) -> None:
    values = {"zero": np.array(0), "wrong": np.array([5, 7])}
    refused(write(tmp_path / "n.onnx", [node], values, ["n", *SHAPE]), says)


def test_what_a_runtime_made_of_a_model(file: Path) -> None:
    def optimise(model: Any) -> None:
        model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
        model.graph.node[0].op_type, model.graph.node[0].domain = "FusedConv", "com.microsoft"

    sentence = refused(changed(file, optimise), "of com.microsoft is not taken")
    assert "as it was before a runtime optimised it" in sentence


def test_several_inputs_and_tokens(file: Path) -> None:
    value = onnx.helper.make_tensor_value_info

    def second(model: Any) -> None:
        model.graph.input.append(value("z", onnx.TensorProto.FLOAT, ["n", 3]))

    def tokens(model: Any) -> None:
        del model.graph.input[1:]
        model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64

    refused(changed(file, second), "one input, found 2 (x, z)")
    refused(changed(file, tokens), "expected an input of floats, found int64")


def test_settings_changed_at_random_are_refused_or_a_network(tmp_path: Path) -> None:
    """Nothing but a sentence comes of attributes and sizes that nobody would write."""
    chance = random.Random(7)
    cases = [case for name, case in sorted(CASES.items()) if "image" not in name]
    for _ in range(150):
        nodes, values, shape, opset = chance.choice(cases)
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        node = chance.choice(nodes)
        for attribute in node.attribute:
            numbers = [chance.choice([-(1 << 40), -3, -1, 0, 1, 2, 7, 1 << 40]) for _ in range(4)]
            if attribute.type == onnx.AttributeProto.INTS and chance.random() < 0.6:
                kept = attribute.ints[: chance.randint(0, 4)]
                del attribute.ints[:]
                attribute.ints.extend([*kept, *numbers[: chance.randint(0, 3)]])
            elif attribute.type == onnx.AttributeProto.INT and chance.random() < 0.6:
                attribute.i = numbers[0]
        changed_values = dict(values)
        for name, value in values.items():
            if chance.random() < 0.3 and value.dtype == np.int64:
                changed_values[name] = value * chance.choice([-1, 0, 3, 1 << 40])
            elif chance.random() < 0.2:
                changed_values[name] = value[..., None]
        batch: int | str = chance.choice([1, 2]) if chance.random() < 0.6 else "n"
        file = write(tmp_path / "n.onnx", nodes, changed_values, [batch, *shape], opset=opset)
        with contextlib.suppress(BitAllocError):
            load_onnx_network(file, torch.zeros(2, *shape))


def test_many_operators_take_little_time_each(tmp_path: Path) -> None:
    """Names that are all the same, and constants that are made of constants."""
    nodes = [
        make_node("Relu", ["x" if not i else f"v{i}"], [f"v{i + 1}"], name="same")
        for i in range(1000)
    ]
    nodes.append(make_node("Relu", ["v1000"], ["y"], name="same"))
    network = load_onnx_network(
        write(tmp_path / "n.onnx", nodes, {}, ["n", *SHAPE]), torch.zeros(2, *SHAPE)
    )
    assert len(list(network.children())) == 1001
    ranges = [make_node("Range", ["zero", "far", "one"], [f"r{i}"]) for i in range(400)]
    nodes = [*ranges, make_node("Relu", ["x"], ["y"])]
    values = {"zero": np.array(0), "far": np.array(999_999), "one": np.array(1)}
    file = write(tmp_path / "n.onnx", nodes, values, ["n", *SHAPE])
    refused(file, "makes constants larger", OnnxLimits(tensor_values=1 << 24))
