"""A network and data on which every bit shows: take the noise out of photographs.

python -m experiments.run --config experiments/configs/denoising.yaml
"""

from itertools import pairwise

import numpy as np
from sklearn.datasets import load_sample_images
from torch import nn

SIZE, NOISE, CHANNELS = 18, 0.05, (1, 32, 32, 48, 32)
PARTS = {"train": (0, 3, SIZE // 2), "search": (3, 4, SIZE), "test": (4, 5, SIZE)}
"""Which of every five strips of a photograph, and pixels from one patch to the next."""


def network() -> nn.Module:
    """Five 3x3 convolutions, a small DnCNN: 12 million MACs, nearly all in the middle three."""
    layers: list[nn.Module] = []
    for before, after in pairwise(CHANNELS):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)]
        layers += [nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(CHANNELS[-1], 1, 3, padding=1))


def data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return noisy patches `[N, 1, 18, 18]` of two grey photographs, and the clean ones."""
    draw, parts = np.random.default_rng(2026), {}
    for name, (first, last, step) in PARTS.items():
        cut = []
        for image in load_sample_images().images:
            for left in range(0, image.shape[1] - 5 * SIZE + 1, 5 * SIZE):
                strip = image[:, left + first * SIZE : left + last * SIZE].mean(2) / 255
                windows = np.lib.stride_tricks.sliding_window_view(strip, (SIZE, SIZE))
                cut.append(windows[::step, ::step].reshape(-1, 1, SIZE, SIZE))
        clean = np.concatenate(cut)
        noisy = clean + NOISE * draw.standard_normal(clean.shape)
        parts[name] = noisy.astype(np.float32), clean.astype(np.float32)
    return parts
