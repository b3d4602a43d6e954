"""A network and points of three classes, with and without a search split of their own."""

import numpy as np
from torch import nn

Data = dict[str, tuple[np.ndarray, np.ndarray]]


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 3))


def data() -> Data:
    """A point's class is the largest of its first three numbers."""
    points = np.random.default_rng(0).normal(size=(300, 12)).astype(np.float32)
    labels = points[:, :3].argmax(1)
    return {"train": (points[:240], labels[:240]), "test": (points[240:], labels[240:])}


def data_with_search() -> Data:
    """The same, of which the last of the training points are the search split."""
    (points, labels), test = data()["train"], data()["test"]
    return {
        "train": (points[:200], labels[:200]),
        "search": (points[200:], labels[200:]),
        "test": test,
    }
