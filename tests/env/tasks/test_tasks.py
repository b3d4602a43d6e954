"""Tasks: the splits stay what they are, checkpoints are found by their whole key."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from env.errors import TaskError
from env.tasks import Task, TaskConfig, checkpoint_path, float_module, load_task
from env.tasks.networks.cifar_resnet import cifar_resnet
from quant.errors import DataError
from quant.network import prepare
from quant.retraining.float_training import TrainConfig


def test_splits_are_disjoint_stratified_and_the_same_every_time() -> None:
    task, again = load_task(TaskConfig()), load_task(TaskConfig())
    splits = (task.train, task.search, task.test)
    assert [len(split) for split in splits] == [1077, 360, 360]
    for split, same in zip(splits, (again.train, again.search, again.test), strict=True):
        assert torch.equal(split.images, same.images)
        shares = torch.bincount(split.labels, minlength=10) / len(split)
        assert bool((shares > 0.08).all())
        assert 0.0 <= float(split.images.min()) <= float(split.images.max()) <= 1.0
    # No image lies in two splits. (The data set itself holds no doubles across these splits.)
    rows = [{image.numpy().tobytes() for image in split.images} for split in splits]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]


def test_a_digest_tells_splits_apart_and_is_computed_once() -> None:
    task, again = load_task(TaskConfig()), load_task(TaskConfig())
    assert task.train.digest == again.train.digest
    assert task.train.digest is task.train.digest
    search = task.search
    labels = search.labels.roll(1)
    found = {task.train.digest, search.digest, replace(search, labels=labels).digest}
    assert len(found) == 3


def test_convolutions_do_the_work() -> None:
    task = load_task(TaskConfig())
    layers = prepare(task.make_module().eval(), task.example).layers
    assert len(layers) == 5
    assert layers[0].reads_input
    macs = [layer.macs for layer in layers]
    assert 2e6 < sum(macs) < 6e6
    assert sum(layer.macs for layer in layers if layer.kind == "conv2d") > 0.99 * sum(macs)


def test_unknown_task_is_named() -> None:
    with pytest.raises(TaskError, match=r"expected one of digits, .*, own, found 'mnist'"):
        TaskConfig(name="mnist")


def test_a_network_is_chosen_by_name() -> None:
    task = load_task(TaskConfig(network="resnet8"))
    assert task.network == "resnet8"
    layers = prepare(task.make_module().eval(), task.example).layers
    assert len(layers) == 10
    assert (layers[0].in_channels, layers[-1].out_channels) == (1, 10)
    assert checkpoint_path(task, 0) != checkpoint_path(load_task(TaskConfig()), 0)
    with pytest.raises(TaskError, match=r"task.network: expected one of digits, .* 'resnet9'"):
        TaskConfig(network="resnet9")


@pytest.fixture
def quick(small_task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return replace(small_task, recipe=TrainConfig(epochs=1))


def test_checkpoint_is_made_once(quick: Task) -> None:
    calls: list[tuple[int, int]] = []
    first = float_module(quick, 0, progress=lambda done, total: calls.append((done, total)))
    assert calls
    assert calls[-1][0] == calls[-1][1]
    trained = len(calls)
    second = float_module(quick, 0, progress=lambda done, total: calls.append((done, total)))
    assert len(calls) == trained
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


def test_checkpoints_differ_by_seed_and_recipe(quick: Task) -> None:
    longer = replace(quick, recipe=TrainConfig(epochs=2))
    assert (
        len({checkpoint_path(quick, 0), checkpoint_path(quick, 1), checkpoint_path(longer, 0)}) == 3
    )


def test_checkpoint_of_another_recipe_is_not_taken(quick: Task) -> None:
    """The file name is only an index: the whole key inside decides."""
    float_module(quick, 1)
    checkpoint_path(quick, 1).rename(checkpoint_path(quick, 0))
    calls: list[int] = []
    float_module(quick, 0, progress=lambda done, _: calls.append(done))
    assert calls


def test_truncated_checkpoint_says_what_helps(quick: Task) -> None:
    float_module(quick, 0)
    path = checkpoint_path(quick, 0)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"damaged file .*delete it") as caught:
        float_module(quick, 0)
    assert str(path) in str(caught.value)


def test_a_checkpoint_with_a_flipped_bit_is_not_used(quick: Task) -> None:
    """Its header is whole and its weights are numbers: only a digest can tell."""
    float_module(quick, 0)
    path = checkpoint_path(quick, 0)
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(DataError, match="its weights are not those that were written"):
        float_module(quick, 0)


def test_a_place_that_takes_no_checkpoint_is_told_before_training(
    quick: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    steps: list[int] = []
    with pytest.raises(DataError, match="cannot write the float checkpoint") as caught:
        float_module(quick, 0, progress=lambda done, _: steps.append(done))
    assert "XDG_CACHE_HOME" in str(caught.value.hint)
    assert not steps


def test_resnet_8_ties_the_shortcut_to_the_first_convolution() -> None:
    network = prepare(cifar_resnet(8, width=4).eval(), torch.zeros(2, 3, 16, 16))
    tensors = {layer.name: layer.tensor for layer in network.layers}
    assert len(tensors) == 10
    assert tensors["layer2.0.conv1"] == tensors["layer2.0.downsample.0"]
    assert tensors["layer2.0.conv1"] != tensors["layer2.0.conv2"]


def test_resnet_depths() -> None:
    assert len(cifar_resnet(20).layer1) == 3
    with pytest.raises(ValueError, match="6 n"):
        cifar_resnet(18)
