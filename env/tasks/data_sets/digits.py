"""Digits: scikit-learn's 8x8 handwritten digits, the task that works offline in seconds.

Near its ceiling (a logistic regression reaches 97 %): for demonstrations and tests, never for
claims about accuracy.
"""

import numpy as np
import numpy.typing as npt
import torch

from env.tasks.networks.catalogue import network_maker
from env.tasks.preprocessing import Preprocessing
from env.tasks.task import Split, Task
from quant.retraining.float_training import TrainConfig

_SPLIT_SEED = 2026
_HELD_OUT = 360
"""Images of the search split, and as many of the test split; 1,077 are left for training."""
_PREPROCESSING = Preprocessing(largest=16.0)
_CLASSES = 10


def digits_task() -> Task:
    """Load the digits, split by class with a fixed seed."""
    # Here, since scikit-learn takes a second to import and all other tasks do without it.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    values, labels = load_digits(return_X_y=True)
    rest, test, rest_labels, test_labels = train_test_split(
        values, labels, test_size=_HELD_OUT, stratify=labels, random_state=_SPLIT_SEED
    )
    train, search, train_labels, search_labels = train_test_split(
        rest, rest_labels, test_size=_HELD_OUT, stratify=rest_labels, random_state=_SPLIT_SEED
    )
    return Task(
        name="digits",
        network="digits",
        classes=_CLASSES,
        make_module=network_maker("digits", in_channels=1, classes=_CLASSES),
        recipe=TrainConfig(epochs=15, batch_size=64, learning_rate=0.1),
        train=_split(train, train_labels),
        search=_split(search, search_labels),
        test=_split(test, test_labels),
        search_origin="360 of the images, not trained on",
        labels=tuple(map(str, range(_CLASSES))),
        preprocessing=_PREPROCESSING,
    )


def _split(values: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> Split:
    images = _PREPROCESSING.normalise(values.reshape(-1, 1, 8, 8))
    return Split(images=images, labels=torch.as_tensor(labels, dtype=torch.int64))
