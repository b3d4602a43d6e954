"""A network and data on which every bit shows: take the noise out of photographs.

python -m experiments.run --config experiments/configs/denoising.yaml
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images
from torch import nn

SIZE, NOISE = 18, 0.1
CHANNELS = (32, 32, 48, 32)
_SEED = 2026
_PARTS = {"train": (0.0, 0.6, SIZE // 2), "search": (0.6, 0.8, SIZE), "test": (0.8, 1.0, SIZE)}
"""Of each photograph's width: from where to where, and pixels from one patch to the next. Patches
of training overlap; those of the three parts have no pixel in common."""


def network() -> nn.Module:
    """Five 3x3 convolutions with a stride of 1: 12 million MACs, nearly all in the middle three.

    Source: Zhang et al. 2017, "Beyond a Gaussian Denoiser" (DnCNN), much smaller, and with the
    clean patch as its output in place of the noise.
    """
    layers: list[nn.Module] = []
    for before, channels in pairwise((1, *CHANNELS)):
        layers += [
            nn.Conv2d(before, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Conv2d(CHANNELS[-1], 1, 3, padding=1))


def data() -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return noisy patches `[N, 1, 18, 18]` and what they were without noise.

    They are cut from the two photographs, in grey, that come with scikit-learn.
    """
    draw = np.random.default_rng(_SEED)
    photographs = [image.mean(2) / 255 for image in load_sample_images().images]
    parts = {}
    for name, (begin, end, step) in _PARTS.items():
        cut = [_patches(photograph, begin, end, step) for photograph in photographs]
        clean = np.concatenate(cut)[:, None]
        noisy = clean + NOISE * draw.standard_normal(clean.shape)
        parts[name] = noisy.astype(np.float32), clean.astype(np.float32)
    return parts


def _patches(
    photograph: NDArray[np.float64], begin: float, end: float, step: int
) -> NDArray[np.float64]:
    """Return the patches of a part of a photograph `[H, W]`, `[N, 18, 18]`."""
    width = photograph.shape[1]
    part = photograph[:, int(begin * width) : int(end * width)]
    windows = np.lib.stride_tricks.sliding_window_view(part, (SIZE, SIZE))[::step, ::step]
    return windows.reshape(-1, SIZE, SIZE)
