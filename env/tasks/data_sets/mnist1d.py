"""MNIST-1D: ten one-dimensional digits, shifted, sheared and noisy, made from a seed.

Nothing is downloaded, an evaluation takes about a second, and few bits cost much: a task on which
methods can be told apart.

Source: Greydanus and Kobak 2024, "Scaling Down Deep Learning with MNIST-1D" (arXiv 2011.14439),
section 2 and appendix A. Templates and scales are the paper's; draws are ours, so that no row here
is one of the published 5,000.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import gaussian_filter1d

from env.tasks.networks.catalogue import network_maker
from env.tasks.task import Split, Task
from quant.errors import DataError
from quant.retraining.float_training import TrainConfig

_TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
"""Height of each digit at twelve places."""
_PADDING = (36, 60)
"""Fewest and most places put behind a digit before all are brought to one length."""
_SCALE = 0.4
_LARGEST_SHIFT = 48
_SMOOTH_NOISE = 0.25
_SMOOTH_WIDTH = 2
"""Deviation of the Gaussian that background noise is smoothed by, in places."""
_NOISE = 0.02
_SHEAR = 0.75
_PLACES = 40
_SEED = 42
_COUNTS = {"train": 24_000, "search": 4_000, "test": 4_000}
_STEPS = 4096
"""Values are multiples of 1 / this, so that the last bit of a logarithm decides no value."""
_SHA256 = "50d5aa1c5b71063c5b08dc2fc12dbecdd5d787a3d4932771959339c096c1e425"
_NETWORK = "conv1d"
_IMAGES_NETWORK = "digits-narrow"
_ROWS, _COLUMNS, _LAG = 10, 13, 3
"""Of a signal as an image: each row begins so many places after the one above, so that they
overlap, and the last ends with the signal."""

_Floats = npt.NDArray[np.float64]


def mnist1d_task() -> Task:
    """Make the three splits; the network has five one-dimensional convolutions.

    Raises:
        DataError: this machine's arithmetic makes other numbers, so that results would not compare.
    """
    splits = {name: _split(number, count) for number, (name, count) in enumerate(_COUNTS.items())}
    _check_digest(splits.values())
    classes = len(_TEMPLATES)
    return Task(
        name="mnist1d",
        network=_NETWORK,
        classes=classes,
        make_module=network_maker(_NETWORK, in_channels=1, classes=classes),
        recipe=TrainConfig(epochs=4, batch_size=100, learning_rate=0.05),
        train=splits["train"],
        search=splits["search"],
        test=splits["test"],
        search_origin="4,000 signals of draws of their own",
        labels=tuple(map(str, range(classes))),
    )


def mnist1d_images_task() -> Task:
    """Lay the signals out as images `[N, 1, 10, 13]`, for networks of 3x3 convolutions.

    Source: Takens 1981, "Detecting strange attractors in turbulence", for rows that are the same
    signal a little later.

    Raises:
        DataError: as of `mnist1d_task`.
    """
    task = mnist1d_task()
    return replace(
        task,
        name="mnist1d-images",
        network=_IMAGES_NETWORK,
        make_module=network_maker(_IMAGES_NETWORK, in_channels=1, classes=task.classes),
        train=_as_images(task.train),
        search=_as_images(task.search),
        test=_as_images(task.test),
    )


def _as_images(split: Split) -> Split:
    """Return signals `[N, 1, 40]` as images."""
    images = split.images.unfold(2, _COLUMNS, _LAG).contiguous()
    assert images.shape[1:] == (1, _ROWS, _COLUMNS)
    return replace(split, images=images)


def _split(number: int, count: int) -> Split:
    """Return as many signals of each digit, in an order of their own, `[N, 1, 40]`."""
    draw = np.random.default_rng((_SEED, number))
    labels = draw.permutation(np.arange(count) % len(_TEMPLATES))
    signals = np.round(_signals(labels, draw) * _STEPS) / _STEPS
    images = torch.from_numpy(signals.astype(np.float32))[:, None]
    return Split(images=images, labels=torch.from_numpy(labels.astype(np.int64)))


def _signals(labels: npt.NDArray[np.int64], draw: np.random.Generator) -> _Floats:
    """Return a signal for each label, float64 `[N, 40]`."""
    count = len(labels)
    long = _padded(_templates()[labels], draw.integers(_PADDING[0], _PADDING[1] + 1, count))
    long *= 1 + _SCALE * (draw.random((count, 1)) - 0.5)
    places = np.arange(long.shape[1])
    shifts = draw.integers(_LARGEST_SHIFT, size=(count, 1))
    long = np.take_along_axis(long, (places - shifts) % len(places), axis=1)
    background = gaussian_filter1d(
        _SMOOTH_NOISE * draw.standard_normal(long.shape), _SMOOTH_WIDTH, axis=1
    )
    long = np.where(long == 0, background, long)
    long += _NOISE * draw.standard_normal(long.shape)
    shear = _SHEAR * (draw.random((count, 1)) - 0.5)
    long -= shear * np.linspace(-0.5, 0.5, len(places))
    return _stretched(long, np.full(count, len(places)), _PLACES)


def _templates() -> _Floats:
    """Return the digits as they are drawn, `[10, 12]`: all begin at (nearly) zero."""
    heights = np.array(_TEMPLATES, dtype=np.float64)
    heights -= heights.mean(1, keepdims=True)
    heights /= heights.std(1, keepdims=True)
    heights -= heights[:, :1]
    return heights / 6 + 1e-8  # not zero: zeros are background


def _padded(digits: _Floats, padding: npt.NDArray[np.int64]) -> _Floats:
    """Put zeros behind each digit `[N, 12]`, and bring all to the longest one's length."""
    most = digits.shape[1] + _PADDING[1]
    values = np.zeros((len(digits), most))
    values[:, : digits.shape[1]] = digits
    return _stretched(values, digits.shape[1] + padding, most)


def _stretched(values: _Floats, lengths: npt.NDArray[np.int64], places: int) -> _Floats:
    """Interpolate the first `lengths` of each row, evenly, at so many places."""
    at = np.linspace(0, 1, places) * (lengths[:, None] - 1)
    left = np.minimum(np.floor(at).astype(np.int64), lengths[:, None] - 2)
    before, after = (np.take_along_axis(values, left + step, axis=1) for step in (0, 1))
    return before + (at - left) * (after - before)


def _check_digest(splits: Iterable[Split]) -> None:
    digest = hashlib.sha256()
    for split in splits:
        digest.update(split.images.numpy().astype("<f4").tobytes())
        digest.update(split.labels.numpy().astype("<i8").tobytes())
    if digest.hexdigest() != _SHA256:
        raise DataError(
            f"mnist1d: expected signals with SHA-256 {_SHA256[:12]}, made some with "
            f"{digest.hexdigest()[:12]}",
            "results on this machine would not compare with others; numpy's random numbers or its "
            "arithmetic differ here",
        )
