"""Graphs that nobody thought of, from a seed: as ONNX Runtime has them, free batch or fixed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from onnx.helper import make_node
from torch import nn

from tests.env.tasks.onnx_network.agreement import captured, imported, write

SHAPE = (4, 8, 8)


@dataclass
class Graph:
    """Nodes so far, with the images `[C, H, W]` that they make."""

    draw: st.DrawFn
    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    images: dict[str, tuple[int, int, int]] = field(default_factory=lambda: {"x": SHAPE})

    def weight(self, *shape: int) -> str:
        name = f"w{len(self.values)}"
        spread = max(1, int(np.prod(shape[1:]))) ** 0.5
        self.values[name] = (self.rng.normal(size=shape) / spread).astype(np.float32)
        return name

    def add(self, kind: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(make_node(kind, inputs, [name], **attributes))
        if len(shape) == 3:
            self.images[name] = shape
        return name

    def one(self) -> tuple[str, tuple[int, int, int]]:
        name = self.draw(st.sampled_from(list(self.images)[-3:]))
        return name, self.images[name]


def _conv(graph: Graph) -> None:
    name, (c, h, w) = graph.one()
    groups = graph.draw(st.sampled_from([g for g in (1, 2, c) if c % g == 0]))
    out = groups * graph.draw(st.integers(1, 3))
    kernel = graph.draw(st.tuples(st.integers(1, min(3, h)), st.integers(1, min(3, w))))
    stride = graph.draw(st.integers(1, 2))
    pads = [graph.draw(st.integers(0, 1)) for _ in range(4)]
    sizes = [
        (size + pads[i] + pads[i + 2] - kernel[i]) // stride + 1 for i, size in enumerate((h, w))
    ]
    inputs = [name, graph.weight(out, c // groups, *kernel)]
    if graph.draw(st.booleans()):
        inputs.append(graph.weight(out))
    settings = {"pads": pads, "strides": [stride] * 2, "group": groups}
    made = graph.add("Conv", inputs, (out, *sizes), **settings)
    if graph.draw(st.booleans()):
        norm = [graph.weight(out) for _ in range(3)]
        variance = graph.weight(out)
        graph.values[variance] = np.abs(graph.values[variance]) + 0.5
        graph.add("BatchNormalization", [made, *norm, variance], (out, *sizes))


def _function(graph: Graph) -> None:
    name, shape = graph.one()
    kinds = ["Relu", "LeakyRelu", "HardSwish", "Sigmoid", "Tanh", "Elu", "Softplus", "Abs"]
    graph.add(graph.draw(st.sampled_from(kinds)), [name], shape)


def _silu(graph: Graph) -> None:
    name, shape = graph.one()
    graph.add("Mul", [name, graph.add("Sigmoid", [name], ())], shape)


def _pool(graph: Graph) -> None:
    name, (c, h, w) = graph.one()
    if min(h, w) < 2:
        return
    kind = graph.draw(st.sampled_from(["MaxPool", "AveragePool"]))
    graph.add(kind, [name], (c, h // 2, w // 2), kernel_shape=[2, 2], strides=[2, 2])


def _join(graph: Graph) -> None:
    (first, shape), (second, other) = graph.one(), graph.one()
    if shape == other:
        graph.add(graph.draw(st.sampled_from(["Add", "Mul", "Sub"])), [first, second], shape)
    elif shape[1:] == other[1:]:
        graph.add("Concat", [first, second], (shape[0] + other[0], *shape[1:]), axis=1)


def _constant(graph: Graph) -> None:
    name, shape = graph.one()
    size = graph.draw(st.sampled_from([(), (1,), (shape[0], 1, 1), (1, shape[0], 1, 1)]))
    inputs = [name, graph.weight(*size)]
    if graph.draw(st.booleans()):
        inputs.reverse()
    graph.add(graph.draw(st.sampled_from(["Add", "Mul", "Sub"])), inputs, shape)


def _excite(graph: Graph) -> None:
    name, shape = graph.one()
    pooled = graph.add("GlobalAveragePool", [name], ())
    share = graph.add("Conv", [pooled, graph.weight(shape[0], shape[0], 1, 1)], ())
    graph.add("Mul", [name, graph.add("HardSigmoid", [share], ())], shape)


def _reshape(graph: Graph) -> None:
    """Shapes as exporters write them: known, copied, open, or computed."""
    name, (c, h, w) = graph.one()
    kind = graph.draw(st.sampled_from(["open", "copied", "computed", "turned"]))
    place = f"s{len(graph.nodes)}"
    if kind == "turned":
        graph.add("Transpose", [name], (c, w, h), perm=[0, 1, 3, 2])
        return
    rest = [c * h, 1, w]
    if kind == "computed":
        sizes = graph.add("Shape", [name], ())
        graph.values[f"{place}z"] = np.array([0])
        first = graph.add("Gather", [sizes, f"{place}z"], (), axis=0)
        graph.values[f"{place}r"] = np.array(rest)
        target = graph.add("Concat", [first, f"{place}r"], (), axis=0)
    else:
        target = place
        graph.values[place] = np.array([{"open": -1, "copied": 0}[kind], *rest])
    graph.add("Reshape", [name, target], (c * h, 1, w))


def _slice(graph: Graph) -> None:
    name, (c, h, w) = graph.one()
    start = graph.draw(st.integers(0, c - 1))
    numbers = {"b": [start], "e": [10**9], "a": [1]}
    names = [f"{key}{len(graph.nodes)}" for key in numbers]
    graph.values |= {n: np.array(v) for n, v in zip(names, numbers.values(), strict=True)}
    graph.add("Slice", [name, *names], (c - start, h, w))


PIECES: list[Callable[[Graph], None]] = [
    *(_conv, _conv, _function, _silu, _pool, _join, _join, _constant, _excite, _reshape, _slice),
]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray], bool]:
    graph = Graph(draw, np.random.default_rng(draw(st.integers(0, 1000))))
    _conv(graph)
    for _ in range(draw(st.integers(1, 8))):
        draw(st.sampled_from(PIECES))(graph)
    name = list(graph.images)[-1]
    features = int(np.prod(graph.images[name]))
    flat = graph.add("Flatten", [name], ())
    dense = [flat, graph.weight(features, 3), graph.weight(3)]
    graph.nodes.append(make_node("Gemm", dense, ["y"]))
    return graph.nodes, graph.values, draw(st.booleans())


def _check(case: tuple[list[onnx.NodeProto], dict[str, np.ndarray], bool], folder: Path) -> None:
    nodes, values, free = case
    file = write(folder / "n.onnx", nodes, values, ["n" if free else 1, *SHAPE], opset=17)
    network = imported(file, *SHAPE)
    layers = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert len(captured(network, *SHAPE).layers) == len(layers)


@seed(20261201)
@settings(
    max_examples=8,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(case=graphs())
def test_a_random_graph_comes_back(
    case: tuple[list[onnx.NodeProto], dict[str, np.ndarray], bool],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    _check(case, tmp_path_factory.mktemp("graph"))


@pytest.mark.slow
@seed(20261202)
@settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(case=graphs())
def test_many_random_graphs_come_back(
    case: tuple[list[onnx.NodeProto], dict[str, np.ndarray], bool],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    _check(case, tmp_path_factory.mktemp("graph"))
