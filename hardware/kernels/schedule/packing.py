"""Packing a layer's constants in the order in which its kernel reads them.

Weights are `[blocks, steps, vectors, weight_lanes]`, and a kernel reads them from begin to end. A
1x1 convolution of 8 channels to 16, with vectors of 8 channels and steps of 4 codes; `w[o][i]` is
the weight of output channel o and input channel i:

                        lanes 0 .. 3   4 .. 7               28 .. 31
    step 0   vector 0   w[0][0..3]     w[1][0..3]    ...    w[7][0..3]
             vector 1   w[8][0..3]     w[9][0..3]    ...    w[15][0..3]
    step 1   vector 0   w[0][4..7]     w[1][4..7]    ...    w[7][4..7]
             vector 1   w[8][4..7]     w[9][4..7]    ...    w[15][4..7]

    >>> from hardware.kernels.epilogue.epilogue import PlainEpilogue
    >>> from hardware.kernels.epilogue.layer_tensors import LayerTensors
    >>> from hardware.kernels.families.vnni import AVX_VNNI
    >>> from hardware.kernels.schedule.schedule import make_schedule
    >>> g = Geometry(batch=1, height=4, width=4, channels=8, out_channels=16)
    >>> tensors = LayerTensors(codes=(1, 4, 4, 8), output=(1, 4, 4, 16), out_dtype="uint8")
    >>> plan = TiledPlan(geometry=g, tensors=tensors, epilogue=PlainEpilogue(), parallel=False,
    ...                  family=AVX_VNNI, schedule=make_schedule(g, AVX_VNNI))
    >>> weight = np.arange(16 * 8, dtype=np.int8).reshape(16, 1, 1, 8)  # w[o][i] is 8 o + i
    >>> packed = pack_weights(weight, plan)
    >>> packed.shape, packed[0, 1, 0, :8].tolist()  # step 1, vector 0
    ((1, 2, 2, 32), [4, 5, 6, 7, 12, 13, 14, 15])

The steps of a 3x3 kernel take turns with its runs: position 0 of runs 0, 1 and 2, then position 1
of these (see `Schedule`). Where blocks do not divide the channels, the last one is moved back: 20
channels in blocks of 8 are channels 0 to 7, 8 to 15, and 12 to 19.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.errors import BuildError
from hardware.kernels.families.family import Family
from hardware.kernels.schedule.layer_plan import TiledPlan
from hardware.kernels.schedule.schedule import Schedule
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.reorder import reorder
from quant.deploy_graph import Conv2d, Linear


def pack_weights(weight: npt.NDArray[np.int8], plan: TiledPlan) -> npt.NDArray[Any]:
    """Return weights as `[blocks, steps, vectors, weight_lanes]`.

    Args:
        weight: int8 `[out_channels, kernel_h, kernel_w, in_channels / groups]`.
        plan: Gives shapes, the form of a step's weights, and the order of the steps.
    """
    g, f, s = plan.geometry, plan.family, plan.schedule
    order = _block_channels(g, f, s)[1]
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
    return reorder(steps, (0, 1, 3, 5, 4, 2, 6)).reshape(s.weight_shape(g, f))


def shift_bias(op: Conv2d | Linear, family: Family, steps: int) -> npt.NDArray[np.int32]:
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


def pack_channels(values: npt.NDArray[Any], plan: TiledPlan) -> npt.NDArray[Any]:
    """Return per-channel constants block by block, flat; zeros fill up."""
    g = plan.geometry
    rows = np.zeros((g.groups, g.group_out_channels + 1), values.dtype)
    rows[:, : g.group_out_channels] = values.reshape(g.groups, g.group_out_channels)
    order = _block_channels(g, plan.family, plan.schedule)[0]
    return np.ascontiguousarray(rows[:, order]).reshape(-1)


@lru_cache(maxsize=1024)
def _block_channels(
    geometry: Geometry, family: Family, schedule: Schedule
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the channels of a group in the order of the sums, and of the vectors of weights.

    Two arrays `[blocks, block channels]`. Lanes beyond the group's channels hold the number of its
    channels. The last block ends at the last channel, as the kernel's last tile does.
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
