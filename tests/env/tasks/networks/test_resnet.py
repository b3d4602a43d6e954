import torch
from torch import nn

from env.tasks.networks.resnet import resnet18, resnet50
from quant.capture.capture import capture


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_are_torchvisions() -> None:
    assert _parameters(resnet18()) == 11_689_512
    assert _parameters(resnet50()) == 25_557_032
    fewer = (1000 - 10) * (512 + 1)
    assert _parameters(resnet18(classes=10)) == 11_689_512 - fewer


def test_state_dict_names_are_torchvisions() -> None:
    state = resnet18().state_dict()
    assert len(state) == 122
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer1.1.bn2.running_var"] == (64,)
    assert shapes["layer2.0.downsample.0.weight"] == (128, 64, 1, 1)
    assert shapes["layer4.1.conv2.weight"] == (512, 512, 3, 3)
    assert shapes["fc.bias"] == (1000,)
    assert "layer1.0.downsample.0.weight" not in shapes
    deep = {name: tuple(value.shape) for name, value in resnet50().state_dict().items()}
    assert len(deep) == 320
    assert deep["layer1.0.downsample.1.num_batches_tracked"] == ()
    assert deep["layer3.5.conv3.weight"] == (1024, 256, 1, 1)


def test_shapes_and_multiplications_at_the_papers_size() -> None:
    graph, _ = capture(resnet18().eval(), torch.zeros(1, 3, 224, 224))
    macs = {layer.name: layer.macs for layer in graph.layers}
    assert len(macs) == 21
    assert sum(macs.values()) == 1_814_073_344
    assert graph.layer("layer4.1.conv2").output_shape == (512, 7, 7)


def test_any_size_and_channels_give_logits() -> None:
    for module in (resnet18(in_channels=1, classes=7), resnet50(in_channels=1, classes=7)):
        with torch.no_grad():
            assert module.eval()(torch.zeros(2, 1, 64, 32)).shape == (2, 7)
