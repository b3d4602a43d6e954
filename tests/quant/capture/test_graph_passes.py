import pytest
import torch
from torch import nn

from quant.capture.capture import capture
from quant.capture.graph import Clip
from quant.network import prepare


def example(count: int = 1) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def classifier(*middle: nn.Module, features: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), *middle, nn.Flatten(), nn.Linear(features, 5)
    ).eval()


def test_a_relu_after_a_pool_is_the_clip_of_the_convolution() -> None:
    # Otherwise the pool and the convolution would travel wide for the sake of the ReLU.
    module = classifier(nn.MaxPool2d(3, 2, 1), nn.ReLU6(), features=64)
    network = prepare(module, example())
    kinds = {node.kind: node.clip for node in network.graph.nodes}
    assert kinds["conv2d"] == Clip(maximum=6.0)
    assert "clip" not in kinds
    assert not network.graph.wide
    with torch.no_grad():
        assert torch.allclose(network(example(4) * 9), module(example(4) * 9), atol=1e-5)


def test_a_second_activation_stays_an_operator_of_its_own() -> None:
    module = classifier(nn.ReLU6(), nn.MaxPool2d(2), nn.ReLU(), features=64)
    network = prepare(module, example())
    assert [node.clip for node in network.graph.nodes if node.kind == "conv2d"] == [Clip(maximum=6)]
    assert [node.clip for node in network.graph.nodes if node.kind == "clip"] == [Clip()]
    with torch.no_grad():
        assert torch.allclose(network(example(4)), module(example(4)), atol=1e-5)


def test_an_even_pad_is_the_convolutions_own_padding() -> None:
    module = classifier(
        nn.ZeroPad2d((2, 2, 1, 1)), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1), features=2 * 10 * 12
    )
    network = prepare(module, example())
    assert [node.kind for node in network.graph.nodes] == [
        "input",
        "conv2d",
        "conv2d",
        "flatten",
        "linear",
    ]
    second = network.layers[1]
    assert (second.padding, second.input_shape) == ((2, 3), (4, 8, 8))
    assert network.graph.nodes[1].clip == Clip()  # the ReLU behind the pad: zeros stay zeros
    with torch.no_grad():
        assert torch.allclose(network(example(4)), module(example(4)), atol=1e-5)


@pytest.mark.parametrize("kind", ["uneven", "read by a pool", "of the input"])
def test_other_pads_are_operators_that_share_a_quantizer(kind: str) -> None:
    pad = nn.ZeroPad2d((1, 1, 1, 1) if kind == "read by a pool" else (0, 1, 0, 1))
    last = nn.MaxPool2d(2) if kind == "read by a pool" else nn.Conv2d(4, 4, 3)
    torch.manual_seed(0)
    first = [pad, nn.Conv2d(3, 4, 3)] if kind == "of the input" else [nn.Conv2d(3, 4, 3), pad, last]
    module = nn.Sequential(*first, nn.ReLU(), nn.Flatten(), nn.LazyLinear(5)).eval()
    module(example())
    graph, _ = capture(module, example())
    (node,) = (node for node in graph.nodes if node.kind == "pad")
    assert graph.tensor_of[node.name] == graph.tensor_of[node.inputs[0]]
    assert not graph.wide
    assert not graph.islands
    assert graph.layers[0].reads_input
    with torch.no_grad():
        assert torch.allclose(prepare(module, example())(example(4)), module(example(4)), atol=1e-5)


@pytest.mark.parametrize(
    ("pads", "mode", "value"),
    [
        ((0, 1, 0, 1), "constant", 1.0),
        ((1, 1, 1, 1), "replicate", None),
        ((0, -1, 0, 1), "constant", 0.0),
        ((0, 0, 0, 0, 0, 1), "constant", 0.0),
    ],
)
def test_padding_without_an_integer_form_stays_in_float(
    pads: tuple[int, ...], mode: str, value: float | None
) -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3), nn.LazyConv2d(2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = nn.functional.pad(self.first(x), pads, mode, value)
            logits: torch.Tensor = self.last(y)
            return logits

    module = Padded().eval()
    module(example())
    graph, _ = capture(module, example())
    assert [island.operators for island in graph.islands] == [("pad",)]
    assert "padding" in graph.islands[0].reason


def test_a_pad_of_the_input_may_be_read_by_an_island() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Tanh(), nn.Conv2d(3, 2, 9)).eval()
    network = prepare(module, example())
    assert not network.graph.wide
    with torch.no_grad():
        assert torch.allclose(network(example(4)), module(example(4)), atol=1e-5)


class SharedBeforeRelu(nn.Module):
    """The convolution's signed output is read again behind its ReLU."""

    def __init__(self, *, through_pool: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 2, 8 if not through_pool else 4)
        self.pool = nn.MaxPool2d(2) if through_pool else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        signed = self.first(x)
        clipped = torch.relu(self.pool(signed))
        logits: torch.Tensor = self.last(clipped + self.pool(self.second(signed)))
        return logits


@pytest.mark.parametrize("through_pool", [False, True])
def test_an_activation_is_not_fused_into_what_others_read_signed(through_pool: bool) -> None:
    torch.manual_seed(0)
    module = SharedBeforeRelu(through_pool=through_pool).eval()
    graph, _ = capture(module, example())
    first = next(node for node in graph.nodes if node.layer == "first")
    assert first.clip is None
    assert [node.kind for node in graph.nodes].count("clip") == 1
    network = prepare(module, example())
    with torch.no_grad():
        assert torch.allclose(network(example(4)), module(example(4)), atol=1e-5)
