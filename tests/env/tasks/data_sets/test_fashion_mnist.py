"""Fashion-MNIST as Debian ships it; skipped where the files are not."""

import pytest
import torch

from env.tasks import Task, TaskConfig, load_task
from env.tasks.data_sets.fashion_mnist import FASHION_MNIST_FOLDER
from quant.network import prepare

pytestmark = pytest.mark.skipif(
    not FASHION_MNIST_FOLDER.is_dir(),
    reason=f"no {FASHION_MNIST_FOLDER}: apt-get install dataset-fashion-mnist",
)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task(TaskConfig(name="fashion-mnist"))


def test_splits_are_the_published_ones(task: Task) -> None:
    sizes = [len(split) for split in (task.train, task.search, task.test)]
    assert sizes == [50_000, 10_000, 10_000]
    assert torch.bincount(task.test.labels).tolist() == [1000] * 10
    for split in (task.train, task.search):
        shares = torch.bincount(split.labels, minlength=10) / len(split)
        assert bool(((shares > 0.09) & (shares < 0.11)).all())
    assert abs(float(task.train.images.mean())) < 0.01
    assert abs(float(task.train.images.std()) - 1) < 0.01
    # A search split of 10,000 tells apart what lies 0.4 points apart: its standard error is less.
    assert (0.9 * 0.1 / len(task.search)) ** 0.5 < 0.004


def test_the_network_halves_the_images_first(task: Task) -> None:
    layers = prepare(task.make_module().eval(), task.example).layers
    assert len(layers) == 10
    assert layers[0].output_shape == (16, 14, 14)
    assert 2e6 < sum(layer.macs for layer in layers) < 3e6
