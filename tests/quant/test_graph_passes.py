import pytest
import torch
from torch import nn

from quant.capture import capture
from quant.graph import Clip
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
