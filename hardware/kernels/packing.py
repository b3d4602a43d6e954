"""Packing a layer's constants in the order in which its kernel reads them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.errors import BuildError
from hardware.kernels.families import LANES, Family
from hardware.kernels.geometry import Geometry
from hardware.kernels.schedule import Schedule
from quant.deploy_graph import Conv2d, Linear

__all__ = ["pack_channels", "pack_weights", "shifted_bias"]

Array = npt.NDArray[Any]


def pack_weights(
    weight: npt.NDArray[np.int8], geometry: Geometry, family: Family, schedule: Schedule
) -> Array:
    """Return weights as `[blocks, steps, vectors, LANES * products]`.

    Args:
        weight: int8 `[out_channels, kernel_h, kernel_w, in_channels / groups]`.
        geometry: The layer's shapes.
        family: Gives products in a step and type of a weight.
        schedule: Gives the tile's vectors and the steps of a run.
    """
    g, s = geometry, schedule
    group_channels = g.group_out_channels
    block_channels = LANES * s.tile_vectors
    codes = s.run_steps * family.products
    rows = np.zeros((g.groups, group_channels, g.runs, codes), family.weight_dtype)
    rows[..., : g.run_codes] = weight.reshape(g.groups, group_channels, g.runs, g.run_codes)
    if group_channels < block_channels:
        filled = np.zeros((g.groups, block_channels, g.runs, codes), family.weight_dtype)
        filled[:, :group_channels] = rows
        rows = filled
    # The last block ends at the last channel, as the kernel's last tile does.
    starts = np.minimum(
        np.arange(s.blocks(g)) * block_channels, max(0, group_channels - block_channels)
    )
    channels = starts[:, None] + np.arange(block_channels)
    blocks = rows[:, channels].reshape(
        g.groups * s.blocks(g), s.tile_vectors, LANES, g.runs * s.run_steps, family.products
    )
    return np.ascontiguousarray(blocks.transpose(0, 3, 1, 2, 4)).reshape(s.weight_shape(g, family))


def shifted_bias(op: Conv2d | Linear) -> npt.NDArray[np.int32]:
    """Return the bias of a kernel that sums `q * w` where `(q - z) * w` is meant.

    Raises:
        BuildError: it does not fit int32.
    """
    weight_sums = op.weight.reshape(op.weight.shape[0], -1).sum(axis=1, dtype=np.int64)
    bias = op.epilogue.bias.astype(np.int64) - op.input_zero_point * weight_sums
    if np.abs(bias).max(initial=0) > np.iinfo(np.int32).max:
        raise BuildError(f"{op.layer}: bias minus zero point times weights does not fit int32")
    narrow: npt.NDArray[np.int32] = bias.astype(np.int32)
    return narrow


def pack_channels(values: Array, geometry: Geometry) -> Array:
    """Return per-channel constants with every group filled up to a vector."""
    group_channels = geometry.group_out_channels
    rows = np.zeros((geometry.groups, max(group_channels, LANES)), values.dtype)
    rows[:, :group_channels] = values.reshape(geometry.groups, group_channels)
    return rows.reshape(-1)
