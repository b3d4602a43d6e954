"""Weights from a file fit by name, and a file that holds more than tensors is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from env.tasks import Task, TaskConfig, float_module, load_task
from env.tasks.networks.cifar_resnet import cifar_resnet
from quant.errors import DataError


def task_with(file: Path) -> Task:
    return load_task(TaskConfig(network="resnet8", weights=str(file)))


def test_weights_take_the_place_of_training(tmp_path: Path) -> None:
    torch.manual_seed(5)
    state = cifar_resnet(8, in_channels=1).state_dict()
    torch.save(state, tmp_path / "plain.pt")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}},
        tmp_path / "wrapped.pt",
    )
    save_file(state, tmp_path / "w.safetensors")
    for name in ("plain.pt", "wrapped.pt", "w.safetensors"):
        module = float_module(task_with(tmp_path / name), 0)
        assert not module.training
        for key, value in module.state_dict().items():
            assert torch.equal(value, state[key])


def test_weights_that_do_not_fit_are_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.save(cifar_resnet(20, in_channels=1).state_dict(), file)
    with pytest.raises(DataError, match=r"it has 'layer1.1.conv1.weight', which it has not"):
        float_module(task_with(file), 0)
    torch.save(cifar_resnet(8, in_channels=3).state_dict(), file)
    with pytest.raises(DataError, match=r"expected conv1.weight of shape \[16, 1, 3, 3\]"):
        float_module(task_with(file), 0)
    torch.save(cifar_resnet(8), file)  # a whole module, not its state dict
    with pytest.raises(DataError, match="holds a whole network"):
        float_module(task_with(file), 0)
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DataError, match=r"w\.pt"):
        float_module(task_with(file), 0)
    with pytest.raises(DataError, match="cannot read the weights"):
        float_module(task_with(tmp_path / "nowhere.pt"), 0)
