import torch
from torch import nn

from env.tasks.networks.mobilenet_v2 import mobilenet_v2
from quant.capture.capture import capture


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_parameter_count_is_torchvisions() -> None:
    assert _parameters(mobilenet_v2()) == 3_504_872
    assert _parameters(mobilenet_v2(classes=10)) == 3_504_872 - 990 * (1280 + 1)


def test_state_dict_names_are_torchvisions() -> None:
    state = mobilenet_v2().state_dict()
    assert len(state) == 314
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert shapes["features.0.0.weight"] == (32, 3, 3, 3)
    # The first block expands nothing: its depthwise convolution comes first.
    assert shapes["features.1.conv.0.0.weight"] == (32, 1, 3, 3)
    assert shapes["features.1.conv.1.weight"] == (16, 32, 1, 1)
    assert shapes["features.1.conv.2.running_mean"] == (16,)
    assert shapes["features.2.conv.0.0.weight"] == (96, 16, 1, 1)
    assert shapes["features.2.conv.1.0.weight"] == (96, 1, 3, 3)
    assert shapes["features.17.conv.2.weight"] == (320, 960, 1, 1)
    assert shapes["features.18.1.bias"] == (1280,)
    assert shapes["classifier.1.weight"] == (1000, 1280)


def test_multiplications_at_the_papers_size() -> None:
    graph, _ = capture(mobilenet_v2().eval(), torch.zeros(1, 3, 224, 224))
    assert len(graph.layers) == 53
    assert sum(layer.macs for layer in graph.layers) == 300_774_272
    depthwise = [layer for layer in graph.layers if layer.groups > 1]
    assert len(depthwise) == 17


def test_any_size_and_channels_give_logits() -> None:
    with torch.no_grad():
        found = mobilenet_v2(in_channels=1, classes=7).eval()(torch.zeros(2, 1, 64, 32))
    assert found.shape == (2, 7)
