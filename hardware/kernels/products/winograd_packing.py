"""Packing the constants of a Winograd kernel.

Weights are `[blocks, 16, steps, vectors, weight_lanes]`: for each block of channels the weights of
place 0 in the order of a 1x1 convolution (see `pack_weights`), then those of place 1, and so on.

    block 0   place 0     step 0: its vectors   step 1: its vectors   ...
              place 1     step 0                step 1
              ...
              place 15
    block 1   place 0
              ...

Place `4 * row + column` holds 2G g (2G)' at this row and column. The nine weights 1 to 9 become

    >>> taps = np.arange(1, 10, dtype=np.int8).reshape(3, 3, 1, 1)
    >>> places = np.empty((1, PLACES, 1), np.int8)
    >>> transform_taps(taps, places)
    >>> places.reshape(4, 4)
    array([[ 4, 12,  4, 12],
           [24, 45, 15, 36],
           [ 8, 15,  5, 12],
           [28, 48, 16, 36]], dtype=int8)

A kernel that transforms weights itself gets the nine taps instead: `[blocks, 9, ...]`. Biases and
multipliers have four parts, one for each pixel of a tile: (0, 0), (0, 1), (1, 0), (1, 1).
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.errors import BuildError
from hardware.kernels.families.family import Family
from hardware.kernels.schedule.packing import pack_channels, pack_weights, shifted_bias
from hardware.kernels.schedule.schedule import Schedule
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.reorder import reordered
from hardware.kernels.shapes.transform import (
    PLACES,
    TAPS,
    TileGrid,
    code_offset,
    offset_sums,
    transform_taps,
)
from quant.deploy_graph import Conv2d

__all__ = ["pack_winograd", "takes_offset"]

Array = npt.NDArray[Any]

_PIXELS = 4
"""Outputs of one tile."""


def pack_winograd(
    op: Conv2d, geometry: Geometry, family: Family, schedule: Schedule
) -> tuple[Array, Array, Array, Array | None]:
    """Return weights, biases, multipliers and the offset of transformed codes, if any.

    Weights are `[blocks, 16, steps, vectors, weight_lanes]` where they are transformed here, and
    int8 `[blocks, 9, steps, vectors, weight_lanes]` where the kernel does it; biases int32 and
    multipliers float32 are flat and have four parts, one for each pixel of a tile.

    Args:
        op: The layer.
        geometry: The layer's shapes.
        family: Gives the form of a step's weights.
        schedule: Gives the tile's vectors and the order of the steps.

    Raises:
        BuildError: a bias does not fit int32.
    """
    products = TileGrid.of(geometry).products(geometry, schedule.group_tiles)
    # It is faster to pack the nine taps, as if they were groups, and then to transform whole packed
    # arrays, than to pack transformed weights.
    grouped = replace(
        products,
        groups=TAPS,
        channels=TAPS * products.channels,
        out_channels=TAPS * products.out_channels,
    )
    taps = pack_weights(reordered(op.weight, (1, 2, 0, 3)), grouped, family, schedule)
    blocks, *vectors = schedule.weight_shape(products, family)
    weights: Array
    if schedule.transforms_weights:
        weights = reordered(taps.reshape(TAPS, blocks, *vectors), (1, 0, 2, 3, 4)).astype(np.int8)
    else:
        weights = np.empty((blocks, PLACES, *vectors), family.weight_dtype)
        transform_taps(taps.reshape(3, 3, blocks, *vectors), weights)
    plain = shifted_bias(op, family, schedule.steps(products)).astype(np.int64)
    biases, offset = np.stack([plain] * _PIXELS), None
    if takes_offset(family):
        offset = np.array([code_offset(op.activation_bits)], np.uint8)
        biases -= offset_sums(op.weight, int(offset[0]))
    if np.abs(biases).max(initial=0) > np.iinfo(np.int32).max:
        raise BuildError(f"{op.layer}: bias minus sums of offsets does not fit int32")
    multiplier = op.epilogue.multiplier.astype(np.float32)

    def packed(values: Array) -> Array:
        return pack_channels(values, products, family, schedule)

    return (
        weights,
        np.concatenate([packed(bias) for bias in biases.astype(np.int32)]),
        np.concatenate([packed(multiplier)] * len(biases)),
        offset,
    )


def takes_offset(family: Family) -> bool:
    """Return whether transformed codes need an offset to be unsigned bytes."""
    return family.code_dtype == "uint8"
