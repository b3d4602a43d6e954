"""Fashion-MNIST: 70,000 grey images of clothes, the task that is far from its ceiling.

Source: Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
Machine Learning Algorithms". The last 10,000 training images are the search split; the published
test files are the test split.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from env.tasks.data_sets.idx_file import read_idx
from env.tasks.networks.catalogue import network_maker
from env.tasks.preprocessing import Normalisation, Preprocessing
from env.tasks.task import Split, Task
from quant.retraining.float_training import TrainConfig

FASHION_MNIST_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package puts the files."""
_HINT = (
    "install it with `apt-get install dataset-fashion-mnist`, or give the folder that holds the "
    "four .gz files with --task.data FOLDER"
)
_HELD_OUT = 10_000
_PREPROCESSING = Preprocessing(largest=255.0, mean=(0.2860,), deviation=(0.3530,))
"""Mean and deviation of the training pixels."""
_CLASSES = 10
_LABELS = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_NETWORK = "resnet8-stride2"
_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7"
    ),
    "train-labels-idx1-ubyte.gz": (
        "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05"
    ),
}


def fashion_mnist_task(
    folder: Path | None = None, normalisation: Normalisation | None = None
) -> Task:
    """Load the four files; the network is a ResNet-8 that halves the images first.

    Args:
        folder: Holds the four `.gz` files; None for the Debian package's.
        normalisation: Mean and deviation in place of the training pixels'.

    Raises:
        DataError: a file is missing, truncated or not what it claims; says where to get it.
    """
    place = FASHION_MNIST_FOLDER if folder is None else folder
    preprocessing = _PREPROCESSING.with_normalisation(normalisation, 1)

    def split(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Split:
        return Split(
            images=preprocessing.normalise(images[:, None]),
            labels=torch.from_numpy(labels.astype(np.int64)),
        )

    images, labels = _read(place, "train")
    test_images, test_labels = _read(place, "t10k")
    return Task(
        name="fashion-mnist",
        network=_NETWORK,
        classes=_CLASSES,
        make_module=network_maker(_NETWORK, in_channels=1, classes=_CLASSES),
        recipe=TrainConfig(epochs=6, batch_size=128, learning_rate=0.1),
        train=split(images[:-_HELD_OUT], labels[:-_HELD_OUT]),
        search=split(images[-_HELD_OUT:], labels[-_HELD_OUT:]),
        test=split(test_images, test_labels),
        search_origin="the last 10,000 training images, not trained on",
        labels=_LABELS,
        preprocessing=preprocessing,
    )


def _read(folder: Path, part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    arrays = []
    for kind, dimensions in (("images-idx3", 3), ("labels-idx1", 1)):
        name = f"{part}-{kind}-ubyte.gz"
        arrays.append(
            read_idx(folder / name, dimensions=dimensions, sha256=_SHA256[name], hint=_HINT)
        )
    return arrays[0], arrays[1]
