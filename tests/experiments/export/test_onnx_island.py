"""Float islands in ONNX: each operator as PyTorch computes it, and what cannot be written."""

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import fx, nn
from torch.nn import functional

from experiments.export.command import _write_onnx
from experiments.export.onnx_island import NotInOnnxError
from experiments.export.onnx_model import onnx_model
from quant.capture.capture import capture
from quant.capture.float_island import run_island
from quant.capture.graph import Node
from quant.capture.graph_builder import GraphBuilder
from quant.capture.operators import add_operator
from quant.deploy_graph import DeployGraph, DeployOutput, DeployTensor, RunIsland
from quant.errors import CaptureError
from quant.testing import random_images, shake_batch_norm

SHAPE = (8, 6, 9)

Function = Callable[[torch.Tensor], torch.Tensor]


class Calls(nn.Module):
    """A layer, so that it can be captured, and functions that have no integer form."""

    def __init__(self, *functions: Function) -> None:
        super().__init__()
        self.stem = nn.Conv2d(SHAPE[0], SHAPE[0], 1)
        self.functions = functions
        self.modules_in_use = nn.ModuleList(f for f in functions if isinstance(f, nn.Module))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the functions make of the layer's output."""
        x = self.stem(x)
        for function in self.functions:
            x = function(x)
        return x


class States(nn.Module):
    """The mean of what a recurrent network makes of tokens, and its last state."""

    def __init__(self, network: nn.RNNBase) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return vectors for tokens."""
        made, state = self.network(x)
        hidden: torch.Tensor = state[0] if isinstance(state, tuple) else state
        return torch.cat((made.mean(1), hidden[-1]), 1)


def tokens(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2).transpose(1, 2)


def steps(x: torch.Tensor) -> torch.Tensor:
    return tokens(x)[:, :5]


def heads(x: torch.Tensor) -> torch.Tensor:
    """Attend as timm's networks do, behind a learned token, to what came before."""
    n, t, c = x.shape
    x = torch.cat((torch.ones(1, 1, c).expand(n, -1, -1), x), 1)
    parts = torch.cat((x, x, x), 2).reshape(n, t + 1, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
    q, k, v = parts.unbind(0)
    seen = torch.linspace(-1, 0, t + 1).expand(t + 1, t + 1)
    made = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    made = made + functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=0.3)
    return made.transpose(1, 2).reshape(n, t + 1, c)[:, -1]


def add_without_products(builder: GraphBuilder, node: fx.Node) -> None:
    if node.target is torch.ops.aten.mul.Tensor:
        raise CaptureError("the test keeps it in float")
    add_operator(builder, node)


def islands(module: nn.Module, shape: tuple[int, ...] = SHAPE) -> list[DeployGraph]:
    """Return every island of a module as a network of its own, without integers.

    Products and functions of one value are kept in float, as what stands beside them in islands.
    """
    shake_batch_norm(module.eval())
    with (
        mock.patch("quant.capture.graph_builder.is_pointwise", return_value=False),
        mock.patch("quant.capture.capture.add_operator", add_without_products),
    ):
        graph, _ = capture(module, random_images(2, shape))
    found = []
    for island in graph.islands:
        node = graph.by_name[island.name]
        names = (*node.inputs, node.name)
        tensors = {name: _floats(graph.by_name[name]) for name in names}
        op = RunIsland(name=node.name, inputs=node.inputs, output=node.name, module=island.module)
        (source,) = node.inputs
        output = DeployOutput(
            name="output", tensor=node.name, shape=tensors[node.name].shape, channels_last=False
        )
        found.append(
            DeployGraph(
                network="island",
                input=source,
                output=node.name,
                tensors=tensors,
                ops=(op,),
                returned=(output,),
            )
        )
    return found


def _floats(node: Node) -> DeployTensor:
    shape = (*node.shape[1:], node.shape[0]) if node.last else node.shape
    return DeployTensor(name=node.name, shape=shape, dtype="float32")


def check(graph: DeployGraph) -> None:
    model = onnx_model(graph, opset=21)
    onnx.checker.check_model(model, full_check=True)
    x = np.random.default_rng(0).normal(size=(3, *graph.tensors[graph.input].shape))
    session = onnxruntime.InferenceSession(model)
    (found,) = session.run(None, {graph.input: x.astype(np.float32)})
    (op,) = graph.ops
    assert isinstance(op, RunIsland)
    expected = run_island(op.module, [x.astype(np.float32)])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


FUNCTIONS: dict[str, tuple[Function, ...]] = {
    "sigmoids": (torch.sigmoid, nn.SiLU(), nn.Hardsigmoid(), nn.Hardswish(), nn.LogSigmoid()),
    "units": (nn.PReLU(8), nn.LeakyReLU(), nn.ELU(0.7), nn.SELU(), nn.Mish(), nn.Softplus(2.0)),
    "one slope": (nn.PReLU(),),
    "gelu": (nn.GELU(), nn.GELU(approximate="tanh"), torch.tanh, torch.erf),
    "limits": (nn.Hardtanh(-0.5, 0.7), lambda x: x.clamp(min=-0.4), lambda x: x.clamp(-0.3, 0.3)),
    "arithmetic": (
        lambda x: 2.0 - torch.add(x * 1.5, x.abs(), alpha=0.5) / 3.0,
        lambda x: (x * x + 1.0).rsqrt() * x.exp() - (x.abs() + 1.0).log(),
        lambda x: torch.maximum(x, -x) ** 2 - x.sin() * x.cos(),
    ),
    "transposed": (nn.ConvTranspose2d(8, 6, (3, 2), stride=2, padding=1, output_padding=1),),
    "transposed groups": (nn.ConvTranspose2d(8, 4, 3, dilation=2, groups=2, bias=False),),
    "same by halves": (nn.Conv2d(8, 8, 2, padding="same"), torch.tanh),
    "norms": (torch.tanh, nn.BatchNorm2d(8), nn.GroupNorm(2, 8), nn.LayerNorm([6, 9])),
    "reductions": (
        lambda x: x * x.mean(1, keepdim=True) - x.sum(1, keepdim=True),
        lambda x: x - x.amax(3, keepdim=True) - x.amin((2, 3), keepdim=True),
    ),
    "softmax": (lambda x: x.softmax(1), lambda x: functional.log_softmax(x, -1)),
    "parts": (
        lambda x: torch.cat([p.tanh() for p in x.chunk(3, 1)][::-1], 1),
        lambda x: torch.cat([p.sigmoid() for p in x.split([2, 6], 1)], 1)[:, 1::2],
    ),
    "attention": (
        lambda x: x.flatten(2).transpose(1, 2),
        nn.LayerNorm(8),
        lambda x: (x @ x.transpose(1, 2)).softmax(-1) @ x,
        nn.Linear(8, 5),
        lambda x: x.permute(0, 2, 1).reshape(x.shape[0], 5, 6, 9),
    ),
    "heads": (tokens, heads),
    "transformer": (
        tokens,
        nn.TransformerEncoderLayer(8, 2, 12, 0.1, batch_first=True),
        lambda x: x[:, 0],
    ),
    "gru": (steps, States(nn.GRU(8, 5, 2, batch_first=True, bidirectional=True))),
    "lstm": (steps, States(nn.LSTM(8, 5, 2, batch_first=True, bidirectional=True))),
    "rnn": (steps, States(nn.RNN(8, 5, batch_first=True, bias=False, nonlinearity="relu"))),
    "vector": (torch.tanh, lambda x: x.mean((2, 3)), nn.Softmax(1)),
    "uneven pooling": (nn.AdaptiveAvgPool2d((4, 5)), torch.tanh),
    "pooling": (
        torch.tanh,
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        torch.tanh,
        nn.MaxPool2d(2, 1, dilation=2),
    ),
    "padding": (
        lambda x: functional.pad(x, (0, 1, 2, 1)),
        lambda x: functional.pad(x, (1, 1), value=0.5),
        nn.ReflectionPad2d(1),
        nn.ReplicationPad2d((2, 0, 0, 1)),
    ),
    "upsampling": (
        nn.Upsample(scale_factor=2),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Upsample(size=(30, 40), mode="bilinear", align_corners=True),
    ),
    "shuffle": (torch.tanh, nn.PixelShuffle(2), torch.neg),
}


QUICK = (
    *("sigmoids", "units", "transposed", "norms", "parts", "attention", "pooling", "padding"),
    *("heads", "transformer", "gru", "lstm", "rnn"),
)
"""Run every time; each takes a third of a second."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in FUNCTIONS],
)
def test_operators_compute_what_pytorchs_do(name: str) -> None:
    torch.manual_seed(0)
    found = islands(Calls(*FUNCTIONS[name]))
    assert found
    for graph in found:
        check(graph)


def test_sequences_travel_as_images_of_one_row() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv1d(3, 8, 3), nn.ConvTranspose1d(8, 4, 3, stride=2), nn.Tanh())
    for graph in islands(module, (3, 20)):
        check(graph)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (torch.special.bessel_j0, "operator special_bessel_j0: no ONNX form of it is known"),
        (lambda x: nn.Upsample(scale_factor=1.5)(x), "upsample_nearest2d: its factor is no whole"),
    ],
)
def test_what_cannot_be_written_is_said_in_one_sentence(
    function: Function, said: str, tmp_path: Path
) -> None:
    (graph,) = islands(Calls(function))
    with pytest.raises(NotInOnnxError, match=said) as caught:
        onnx_model(graph, opset=21)
    assert caught.value.message.startswith("the float island ")
    assert said in _write_onnx(tmp_path, graph, 21, torch.zeros(1, *SHAPE))
    assert not list(tmp_path.iterdir())  # the rest of a bundle is written all the same
