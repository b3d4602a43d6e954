"""Float islands: what travels with them, and what is refused in one sentence."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import fx, nn
from torch.nn import functional

from quant.capture.capture import capture
from quant.capture.float_island import island_digest
from quant.capture.float_operators import channels_last
from quant.capture.island_program import export_island
from quant.errors import CaptureError
from quant.network import prepare
from quant.testing import random_images
from tests.quant.special_networks import IMAGE, SPECIAL_NETWORKS, Function, SpecialNet


def _graph_of(module: nn.Module) -> fx.Graph:
    assert isinstance(module, fx.GraphModule)
    return module.graph


ISLANDS = ("attention", "gru", "lstm", "rnn", "volumes", "transposed", "transformer layer")


def _apply(function: Callable[[torch.Tensor], torch.Tensor], channels: int = 8) -> SpecialNet:
    torch.manual_seed(0)
    return SpecialNet(Function(lambda net, x: function(x)), channels).eval()


@pytest.mark.parametrize("name", ISLANDS)
def test_islands_survive_pickling(name: str) -> None:
    torch.manual_seed(0)
    module = SPECIAL_NETWORKS[name][0]().eval()
    images = random_images(3, module.input_shape)
    graph, _ = capture(module, images)
    for island in graph.islands:
        loaded: Any = pickle.loads(pickle.dumps(island.module))
        assert island_digest(loaded) == island_digest(island.module)
        assert [str(n.target) for n in loaded.graph.nodes] == [
            str(n.target) for n in _graph_of(island.module).nodes
        ]
        shapes = [
            channels_last(torch.zeros(2, *read.shape)).shape if read.last else (2, *read.shape)
            for read in map(graph.by_name.__getitem__, graph.by_name[island.name].inputs)
        ]
        inputs = [torch.randn(shape) for shape in shapes]
        with torch.no_grad():
            assert torch.equal(loaded(*inputs), island.module(*inputs))


def test_attention_is_an_island_that_names_its_module() -> None:
    torch.manual_seed(0)
    graph, _ = capture(SPECIAL_NETWORKS["transformer layer"][0]().eval(), random_images(1, IMAGE))
    island, *_ = graph.islands
    assert "softmax" in island.operators
    assert "module body.layer.self_attn (MultiheadAttention)" in island.reason
    assert "special_networks.py" in island.reason


def test_a_batch_that_is_not_the_first_size_stays_inside_an_island() -> None:
    """Asking PyTorch for such a size would fix the batch, and everything behind it would be 2."""
    graph, _ = capture(
        _apply(lambda x: (x.permute(1, 2, 3, 0) * 2).cumsum(0).permute(3, 0, 1, 2)),
        random_images(1, IMAGE),
    )
    (island,) = graph.islands
    assert island.operators == ("mul", "cumsum", "permute")


def test_writing_into_a_part_of_a_tensor_is_taken() -> None:
    def write(x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[:, 0] = 0.5
        y[:, :, ::2] *= 3
        return y + x

    module, images = _apply(write), random_images(4, IMAGE)
    with torch.no_grad():
        torch.testing.assert_close(prepare(module, images)(images), module(images))


class _Leaves(SpecialNet):
    """Keeps what it computed, as users do to look at it."""

    seen: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = {"features": [self.stem(x)]}
        return super().forward(x)


def test_a_network_that_keeps_what_it_computed_is_taken() -> None:
    module, images = _Leaves(nn.ReLU()).eval(), random_images(4, IMAGE)
    expected = module(images)  # with gradients: what is kept is no leaf
    torch.testing.assert_close(prepare(module, images)(images), expected)


@pytest.mark.parametrize("enabled", [False, True])
def test_autocast_hides_no_layer(enabled: bool) -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = _apply(torch.relu)

        def forward(self, *images: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled):
                made: torch.Tensor = self.inner(images[0])
            return made.float()

    module, images = Mixed().eval(), random_images(4, IMAGE)
    network = prepare(module, images)
    assert [layer.name for layer in network.layers] == ["inner.stem", "inner.classifier"]
    with torch.no_grad():
        torch.testing.assert_close(network(images), module.inner(images))
    assert torch.autocast("cpu").__enter__.__name__ == "__enter__"


def _early(x: torch.Tensor) -> torch.Tensor:
    return x if x.max() > 1 else x * 2


def _asserted(x: torch.Tensor) -> torch.Tensor:
    assert x.min() >= 0, "negative"
    return x


REFUSED: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "early exit": (_early, "decides by values that it computed"),
    "assert": (_asserted, "decides by values that it computed"),
    "numpy": (lambda x: torch.from_numpy(x.detach().numpy()), "numpy"),
    "dropout": (lambda x: functional.dropout(x, 0.5), "dropout draws random numbers"),
    "noise": (lambda x: x + torch.randn_like(x), "randn_like draws random numbers"),
    "item": (lambda x: x / x[0, 0, 0, 0].item(), "item.default makes a number"),
    "mean over the batch": (lambda x: x - x.mean(0, keepdim=True), "mean mixes them"),
    "tokens": (
        lambda x: functional.embedding(x[:, 0, 0].long() % 4, torch.ones(4, 8)).mT[..., None],
        "found numbers that are computed from it",
    ),
    "size of the batch": (lambda x: x / x.size(0), "div mixes them"),
    "statistics of the batch": (
        lambda x: functional.batch_norm(x, None, None, training=True),
        "batch norm without running statistics",
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_cannot_be_taken_is_refused_with_its_line(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    function, sentence = REFUSED[name]
    with pytest.raises(CaptureError) as caught:
        prepare(_apply(function), random_images(1, IMAGE))
    assert sentence in caught.value.message
    assert 'networks.py", line' in caught.value.message or "test_islands" in caught.value.message
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""  # PyTorch prints whole graphs there


def test_two_inputs_are_refused_by_name() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return x * mask

    with pytest.raises(CaptureError, match=r"one input, found Two.forward\(x, mask\)"):
        prepare(Two(), random_images(1, IMAGE))


def test_indices_count_from_the_front_in_what_a_compiler_gets() -> None:
    class Negative(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, -1] + x[:, -3:-1].sum(1) + x[:, [-2, 0]].amax(1)

    program = export_island(Negative(), [(2, 5, 3)])
    arguments = [
        (str(node.target), argument)
        for node in program.graph.nodes
        if node.op == "call_function" and "slice" in str(node.target)
        for argument in node.args[2:4]
    ]
    assert arguments
    assert all(argument >= 0 for _, argument in arguments)
    assert not any("select.int" in str(node.target) for node in program.graph.nodes)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(program.module()(x), Negative()(x))
