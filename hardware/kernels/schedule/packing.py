"""Packing a layer's constants in the order in which its kernel reads them."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.errors import BuildError
from hardware.kernels.families.family import Family
from hardware.kernels.schedule.schedule import Schedule
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.reorder import reordered
from quant.deploy_graph import Conv2d, Linear

__all__ = ["pack_channels", "pack_weights", "shifted_bias"]

Array = npt.NDArray[Any]


def pack_weights(
    weight: npt.NDArray[np.int8],
    geometry: Geometry,
    family: Family,
    schedule: Schedule,
) -> Array:
    """Return weights as `[blocks, steps, vectors, weight_lanes]`.

    Args:
        weight: int8 `[out_channels, kernel_h, kernel_w, in_channels / groups]`.
        geometry: The layer's shapes.
        family: Gives the form of a step's weights.
        schedule: Gives the tile's vectors and the order of the steps.
    """
    g, s, f = geometry, schedule, family
    order = _block_channels(geometry, family, schedule)[1]
    rows = weight.reshape(g.groups, g.group_out_channels, g.runs, g.run_codes)
    codes = s.positions * f.products
    if codes > g.run_codes or order.max() == g.group_out_channels:
        filled = np.zeros((g.groups, g.group_out_channels + 1, g.runs, codes), np.int8)
        filled[:, : g.group_out_channels, :, : g.run_codes] = rows
        rows = filled
    blocks = rows[:, order].reshape(g.groups, s.blocks(g, f), s.tile_vectors, f.channels, -1)
    # [groups, blocks, vectors, outer runs, inside runs, positions, lanes]
    steps = f.weight_steps(blocks).reshape(
        *blocks.shape[:3], s.outer_runs(g), s.inside_runs, s.positions, f.weight_lanes
    )
    # Positions before runs: the steps of an iteration stand together.
    return reordered(steps, (0, 1, 3, 5, 4, 2, 6)).reshape(s.weight_shape(g, f))


def shifted_bias(op: Conv2d | Linear, family: Family, steps: int) -> npt.NDArray[np.int32]:
    """Return the bias of a kernel that sums `q * w` where `(q - z) * w` is meant.

    Args:
        op: The layer.
        family: May subtract a constant from every code and add one to every step.
        steps: Steps of one sum.

    Raises:
        BuildError: it does not fit int32.
    """
    bias = op.epilogue.bias.astype(np.int64) - steps * family.step_bias()
    shift = op.input_zero_point - family.code_shift()
    if shift:
        bias -= shift * op.weight.reshape(op.weight.shape[0], -1).sum(axis=1, dtype=np.int64)
    if np.abs(bias).max(initial=0) > np.iinfo(np.int32).max:
        raise BuildError(f"{op.layer}: bias minus zero point times weights does not fit int32")
    narrow: npt.NDArray[np.int32] = bias.astype(np.int32)
    return narrow


def pack_channels(values: Array, geometry: Geometry, family: Family, schedule: Schedule) -> Array:
    """Return per-channel constants block by block, flat; zeros fill up."""
    group_channels = geometry.group_out_channels
    rows = np.zeros((geometry.groups, group_channels + 1), values.dtype)
    rows[:, :group_channels] = values.reshape(geometry.groups, group_channels)
    order = _block_channels(geometry, family, schedule)[0]
    return np.ascontiguousarray(rows[:, order]).reshape(-1)


@lru_cache(maxsize=1024)
def _block_channels(
    geometry: Geometry, family: Family, schedule: Schedule
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the channels of a group in the order of the sums, and of the vectors of weights.

    Two arrays `[blocks, block channels]`; lanes beyond the group's channels have the number after
    the last one's. The last block ends at the last channel, as the kernel's last tile does.
    """
    vectors, lanes = schedule.tile_vectors, family.channels
    order = np.arange(vectors * lanes)
    of_lanes = np.empty((vectors, lanes), np.intp)
    of_lanes[:, family.wide_places().reshape(-1)] = order.reshape(vectors, lanes)
    blocks, total = schedule.blocks(geometry, family), geometry.group_out_channels
    starts = np.minimum(np.arange(blocks) * vectors * lanes, max(0, total - vectors * lanes))
    in_sums, in_weights = (
        np.minimum(starts[:, None] + places.reshape(1, -1), total) for places in (order, of_lanes)
    )
    return in_sums, in_weights
