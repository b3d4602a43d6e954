"""CIFAR-10: 60,000 colour images of 32x32, from its "python version".

Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images". Batches 1 to 4 are
trained on, batch 5 is the search split, and the published test batch is the test split.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from env.tasks.augment import flip_and_shift
from env.tasks.data_sets.batch_file import CifarBatch, read_batch
from env.tasks.networks.catalogue import network_maker
from env.tasks.preprocessing import Normalisation, Preprocessing
from env.tasks.task import Split, Task
from quant.errors import DataError
from quant.retraining.float_training import TrainConfig

_CLASSES = 10
_LABELS = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_SIDE = 32
_NETWORK = "resnet20"
_PREPROCESSING = Preprocessing(
    largest=255.0, mean=(0.4914, 0.4822, 0.4465), deviation=(0.2470, 0.2435, 0.2616)
)
"""Mean and deviation of the training pixels, by channel."""
_TRAIN_FILES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4")
_SEARCH_FILE = "data_batch_5"
_TEST_FILE = "test_batch"
_HINT = (
    "unpack the python version of CIFAR-10 (cifar-10-python.tar.gz, from its authors' page at the "
    "University of Toronto) and give the folder cifar-10-batches-py with --task.data FOLDER"
)


def cifar10_task(folder: Path | None, normalisation: Normalisation | None = None) -> Task:
    """Load the six batches; the network is a ResNet-20.

    Args:
        folder: Holds `data_batch_1` to `data_batch_5` and `test_batch`.
        normalisation: Mean and deviation of each channel in place of the training pixels'.

    Raises:
        DataError: no folder, or a file that is missing or not what it claims.
    """
    if folder is None:
        raise DataError("task.data: CIFAR-10 needs the folder of its batches, found none", _HINT)

    def read(name: str) -> CifarBatch:
        return read_batch(folder / name, side=_SIDE, classes=_CLASSES, hint=_HINT)

    preprocessing = _PREPROCESSING.with_normalisation(normalisation, 3)

    def split(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> Split:
        return Split(images=preprocessing.normalise(images), labels=torch.from_numpy(labels))

    parts = [read(name) for name in _TRAIN_FILES]
    return Task(
        name="cifar10",
        network=_NETWORK,
        classes=_CLASSES,
        make_module=network_maker(_NETWORK, in_channels=3, classes=_CLASSES),
        recipe=TrainConfig(epochs=60, batch_size=128, learning_rate=0.1),
        augment=flip_and_shift,
        train=split(
            np.concatenate([images for images, _ in parts]),
            np.concatenate([labels for _, labels in parts]),
        ),
        search=split(*read(_SEARCH_FILE)),
        test=split(*read(_TEST_FILE)),
        search_origin="the fifth training batch, not trained on",
        labels=_LABELS,
        preprocessing=preprocessing,
    )
