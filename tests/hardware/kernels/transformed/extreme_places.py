"""Layers and images that make every place of a transform as large as it can become."""

from dataclasses import replace
from typing import Any

import numpy as np

from hardware.kernels.shapes.transform import TileTransform
from quant.deploy_graph import Conv2d, Epilogue
from tests.hardware.kernels.single_op import make_layer

CONV: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}


def sums_of(op: Any, weight: np.ndarray) -> Conv2d:
    """Return a layer with these weights whose sums come out as they are."""
    assert isinstance(op, Conv2d)
    channels = op.weight.shape[0]
    epilogue = Epilogue(
        bias=np.zeros(channels, np.int32), multiplier=np.ones(channels, np.float32), logits=True
    )
    weight = np.broadcast_to(weight, op.weight.shape).astype(np.int8)
    return replace(op, weight=weight, epilogue=epilogue, input_zero_point=0)


def extreme_places(
    tiles: TileTransform, bits: tuple[int, int], channels: int
) -> tuple[Conv2d, np.ndarray]:
    """Return a layer and images: each image makes one place's codes extreme, each channel weights.

    Args:
        tiles: The transform.
        bits: Of weights and of codes.
        channels: That are read.
    """
    largest_code, largest_weight = 2 ** bits[1] - 1, 2 ** (bits[0] - 1) - 1
    images, kernels = [], []
    for place in tiles.places:
        signs = np.outer(tiles.codes[place.row], tiles.codes[place.column])
        factors = np.outer(tiles.weights[place.weights], tiles.weights[place.column])
        kernel = np.where(factors < 0, -1, 1)
        images += [signs > 0, signs < 0]
        kernels += [kernel, -kernel]
    side = 2 * tiles.window
    windows = np.pad(np.array(images), ((0, 0), *[(0, side - tiles.window)] * 2), "wrap")
    x = np.broadcast_to((largest_code * windows)[..., None], (len(images), side, side, channels))
    shape = (len(kernels), 3, 3, channels)
    conv = CONV | {"padding": (0, 0), "stride": (tiles.stride, tiles.stride)}
    op = make_layer(np.random.default_rng(0), shape, bits, **conv)
    return sums_of(op, largest_weight * np.array(kernels)[..., None]), x.astype(np.uint8)
