"""A network with two kinds of float islands, and data that it can learn a little of."""

import numpy as np
from torch import nn


def network() -> nn.Module:
    """A learned slope and a transposed convolution stay in float."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.PReLU(8),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 8, 2, stride=2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


def data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Squares of three sizes, in noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=360)
    images = rng.normal(0, 0.3, (360, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[0, 1 : 3 + 2 * label, 1 : 3 + 2 * label] += 1.0
    return {"train": (images[:300], labels[:300]), "test": (images[300:], labels[300:])}
