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

    >>> from hardware.kernels.shapes.tile_2x2 import TILE_2X2
    >>> taps = np.arange(1, 10, dtype=np.int8).reshape(3, 3, 1, 1)
    >>> places = np.empty((1, 16, 1), np.int8)
    >>> TILE_2X2.transform_taps(taps, places)
    >>> places.reshape(4, 4)
    array([[ 4, 12,  4, 12],
           [24, 45, 15, 36],
           [ 8, 15,  5, 12],
           [28, 48, 16, 36]], dtype=int8)

A kernel that transforms weights itself gets the nine taps instead: `[blocks, 9, ...]`. Biases and
multipliers have a part for each pixel of a tile: (0, 0), (0, 1), (1, 0), (1, 1).
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.errors import BuildError
from hardware.kernels.schedule.layer_plan import Packed, TiledPlan
from hardware.kernels.schedule.packing import pack_channels, pack_weights, shift_bias
from hardware.kernels.shapes.reorder import reorder
from hardware.kernels.shapes.transform import TAPS, TileGrid
from hardware.kernels.shapes.transformed_codes import offset_sums, offsets
from quant.deploy_graph import Conv2d, Linear


def pack_winograd(op: Conv2d | Linear, plan: TiledPlan) -> Packed:
    """Return the constants of a Winograd kernel; bytes of transformed codes have `offsets`, u8.

    Weights are `[blocks, places, steps, vectors, weight_lanes]` where they are transformed here,
    and int8 `[blocks, 9, steps, vectors, weight_lanes]` where the kernel does it; biases int32 and
    multipliers float32 are flat and have a part for each pixel of a tile.

    Raises:
        BuildError: a bias does not fit int32.
    """
    family, schedule, tiles = plan.family, plan.schedule, plan.family.transform
    plan = place_products(plan)
    products = plan.geometry
    # It is faster to pack the nine taps, as if they were groups, and then to transform whole packed
    # arrays, than to pack transformed weights.
    grouped = replace(
        products,
        groups=TAPS,
        channels=TAPS * products.channels,
        out_channels=TAPS * products.out_channels,
    )
    taps = pack_weights(reorder(op.weight, (1, 2, 0, 3)), replace(plan, geometry=grouped))
    blocks, *vectors = schedule.weight_shape(products, family)
    weights: npt.NDArray[Any]
    if schedule.transforms_weights:
        weights = reorder(taps.reshape(TAPS, blocks, *vectors), (1, 0, 2, 3, 4)).astype(np.int8)
    else:
        weights = np.empty((blocks, len(tiles.places), *vectors), family.weight_dtype)
        tiles.transform_taps(taps.reshape(3, 3, blocks, *vectors), weights)
    plain = shift_bias(op, family, schedule.steps(products)).astype(np.int64)
    biases, extra = np.stack([plain] * tiles.outputs**2), {}
    how = (tiles, family.code_form, op.activation_bits)
    added = offsets(*how)
    if added.size:
        extra["offset"] = added.astype(np.uint8)  # modulo 256, as bytes are added
        biases -= offset_sums(op.weight, *how)
    if np.abs(biases).max(initial=0) > np.iinfo(np.int32).max:
        raise BuildError(f"{op.layer}: bias minus sums of offsets does not fit int32")
    multiplier = op.epilogue.multiplier.astype(np.float32)

    return (
        weights,
        np.concatenate([pack_channels(bias, plan) for bias in biases.astype(np.int32)]),
        np.concatenate([pack_channels(multiplier, plan)] * len(biases)),
        extra,
    )


def place_products(plan: TiledPlan) -> TiledPlan:
    """Return the matrix products of one group of tiles at one place."""
    grid = TileGrid.of(plan.geometry, plan.family.transform)
    return replace(plan, geometry=grid.products(plan.geometry, plan.schedule.group_tiles))
