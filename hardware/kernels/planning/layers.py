"""Planning convolutions and matrix products: family, schedule, packed constants."""

from dataclasses import asdict
from functools import partial
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.errors import BuildError
from hardware.graph.steps import Step
from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.epilogue.epilogue import PlainEpilogue
from hardware.kernels.epilogue.layer_tensors import Tensors
from hardware.kernels.families.family import Family
from hardware.kernels.families.generic import Generic
from hardware.kernels.planning.choose import choose_depthwise, choose_family
from hardware.kernels.planning.context import PlanContext, limits
from hardware.kernels.products.depthwise import depthwise_kernel, vector_starts
from hardware.kernels.products.direct import direct_kernel
from hardware.kernels.products.winograd_kernel import winograd_kernel
from hardware.kernels.products.winograd_packing import pack_winograd
from hardware.kernels.schedule.packing import pack_channels, pack_weights, shifted_bias
from hardware.kernels.schedule.schedule import Schedule
from hardware.kernels.shapes.geometry import Geometry
from quant.deploy_graph import Conv2d, Linear

__all__ = ["plan_layer", "sums_of"]

Array = npt.NDArray[Any]

_SHARED_PRODUCTS = 200_000
"""Products below which waking the threads takes longer than they save."""


def plan_layer(op: Conv2d | Linear, context: PlanContext, step: Step) -> KernelPlan:
    """Plan a layer, with what its step computes beside it.

    Raises:
        BuildError: codes wider than their bits, or shapes that do not belong together.
    """
    _check_codes(op)
    sums = sums_of(op, context, step)
    if sums is None:
        return _plan_depthwise(op, _geometry(op, context), context)
    return _plan_products(op, *sums, context, step)


def sums_of(
    op: Conv2d | Linear, context: PlanContext, step: Step
) -> tuple[Geometry, Family] | None:
    """Return the shapes and the family that a layer's schedule is for.

    Returns:
        None for a depthwise layer, which has no schedule.
    """
    geometry = _geometry(op, context)
    if 1 < geometry.groups == geometry.channels == geometry.out_channels:
        return None
    if not any(_tensors(op, context, step).narrow_border) and context.target.threads == 1:
        # One row of pixels has one tile less at its end; threads share rows.
        geometry = geometry.flattened()
    bits = (op.weight_bits, op.activation_bits)
    target = context.target
    return geometry, choose_family(target.family, *bits, geometry, target.transform)


def _plan_products(
    op: Conv2d | Linear, geometry: Geometry, family: Family, context: PlanContext, step: Step
) -> KernelPlan:
    target, tensors = context.target, _tensors(op, context, step)
    schedule = context.schedule(geometry, family)
    epilogue, parallel = target.epilogue(), _is_shared(geometry, context)
    code = {
        "geometry": geometry.document(),
        "family": family.document(),
        "schedule": asdict(schedule),
        "epilogue": type(epilogue).__name__,
        "tensors": asdict(tensors),
        "parallel": parallel,
    }
    name, kernel = "direct", direct_kernel
    extra: Array | None
    if family.winograd:
        assert isinstance(op, Conv2d)
        name, kernel = "winograd", winograd_kernel
        *packed, extra = pack_winograd(op, geometry, family, schedule)
    else:
        *packed, extra = _pack_direct(op, geometry, family, schedule)
    return context.plan(
        name,
        code,
        partial(
            kernel,
            geometry=geometry,
            family=family,
            schedule=schedule,
            epilogue=epilogue,
            tensors=tensors,
            parallel=parallel,
        ),
        (
            *packed,
            *_run_time_codes(op),
            *(() if extra is None else (extra,)),
            *_follow_constants(step),
        ),
        family.name,
    )


def _pack_direct(
    op: Conv2d | Linear, geometry: Geometry, family: Family, schedule: Schedule
) -> tuple[Array, Array, Array, Array | None]:
    """Return a direct kernel's weights, biases, multipliers, and lookup table, if any."""
    bias = shifted_bias(op, family, schedule.steps(geometry))
    multiplier = op.epilogue.multiplier.astype(np.float32)
    return (
        pack_weights(op.weight, geometry, family, schedule),
        pack_channels(bias, geometry, family, schedule),
        pack_channels(multiplier, geometry, family, schedule),
        family.lookup_table(),
    )


def _plan_depthwise(op: Conv2d | Linear, geometry: Geometry, context: PlanContext) -> KernelPlan:
    target = context.target
    family = choose_depthwise(
        target.family, op.weight_bits, op.activation_bits, prod(geometry.kernel), geometry.channels
    )
    epilogue = target.epilogue() if family.lanes >= 8 else PlainEpilogue()
    shapes = (context.stored_shape(op.input), context.stored_shape(op.output))
    out_dtype = context.dtype(op.output)
    weights = family.pack(
        op.weight.reshape(geometry.channels, *geometry.kernel),
        vector_starts(geometry.channels, family.lanes),
    )
    packed = (weights.shape, str(weights.dtype))
    parallel = _is_shared(geometry, context)
    return context.plan(
        "depthwise",
        {
            "geometry": geometry.document(),
            "family": asdict(family),
            "epilogue": type(epilogue).__name__,
            "shapes": shapes,
            "out": out_dtype,
            "parallel": parallel,
        },
        partial(
            depthwise_kernel,
            geometry=geometry,
            family=family,
            epilogue=epilogue,
            weights=packed,
            shapes=shapes,
            out_dtype=out_dtype,
            parallel=parallel,
        ),
        (
            weights,
            shifted_bias(op, Generic(), 0),
            op.epilogue.multiplier.astype(np.float32),
            *_run_time_codes(op),
        ),
        family.name,
    )


def _is_shared(geometry: Geometry, context: PlanContext) -> bool:
    """Return whether a layer is large enough for threads to share it."""
    products = geometry.runs * geometry.run_codes * geometry.out_channels
    total = geometry.batch * geometry.out_height * geometry.out_width * products
    return context.target.threads > 1 and total >= _SHARED_PRODUCTS


def _tensors(op: Conv2d | Linear, context: PlanContext, step: Step) -> Tensors:
    wide, narrow = context.stored_shape(op.output), step.requantize
    return Tensors(
        codes=context.stored_shape(op.input),
        output=wide if step.keeps_wide else None,
        out_dtype=context.dtype(op.output),
        adds=step.add is not None,
        wide=wide,
        narrow=None if narrow is None else context.stored_shape(narrow.output),
        narrow_border=(0, 0) if narrow is None else context.border(narrow.output),
    )


def _follow_constants(step: Step) -> tuple[npt.NDArray[np.float32], ...]:
    """Return scales and limits of what follows (see `Follow`), neutral ones of what is missing."""
    if not step.followers:
        return ()
    assert isinstance(step.op, Conv2d | Linear)
    epilogue = step.op.epilogue
    own, other, low, high = 1.0, 1.0, epilogue.clip_min, epilogue.clip_max
    if step.add is not None:
        own, other = step.add.multipliers
        if step.add.inputs[0] != step.op.output:
            own, other = other, own
        low, high = step.add.clip_min, step.add.clip_max
    narrow = step.requantize
    last = (1.0, 0, 0, 0)
    if narrow is not None:
        last = (narrow.multiplier, narrow.zero_point, narrow.clip_min, narrow.clip_max)
    return (
        np.array([own, other, last[0]], np.float32),
        np.array([low, high, *last[1:]], np.float32),
    )


def _run_time_codes(op: Conv2d | Linear) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    epilogue = op.epilogue
    return (
        limits(epilogue.zero_point, epilogue.clip_min, epilogue.clip_max),
        np.array([op.input_zero_point], dtype=np.uint8),
    )


def _geometry(op: Conv2d | Linear, context: PlanContext) -> Geometry:
    source, output = context.shape(op.input), context.shape(op.output)
    expected: tuple[tuple[int, ...], tuple[int, ...]]
    if isinstance(op, Linear):
        out_channels, channels = op.weight.shape
        geometry = Geometry(
            batch=context.batch, height=1, width=1, channels=channels, out_channels=out_channels
        )
        expected = ((context.batch, channels), (context.batch, out_channels))
    else:
        out_channels, kernel_height, kernel_width, group_channels = op.weight.shape
        geometry = Geometry(
            batch=context.batch,
            height=source[1],
            width=source[2],
            channels=group_channels * op.groups,
            out_channels=out_channels,
            kernel=(kernel_height, kernel_width),
            stride=op.stride,
            padding=op.padding,
            dilation=op.dilation,
            groups=op.groups,
            in_border=context.border(op.input),
            out_border=context.border(op.output),
        )
        expected = (
            (*source[:3], geometry.channels),
            (context.batch, geometry.out_height, geometry.out_width, out_channels),
        )
    if (source, output) != expected:
        raise BuildError(
            f"{op.layer}: expected tensors of shape {expected[0]} and {expected[1]} for weights of "
            f"shape {op.weight.shape}, found {source} and {output}"
        )
    return geometry


def _check_codes(op: Conv2d | Linear) -> None:
    """Refuse codes for which the family chosen by bits would not be exact."""
    largest = 2 ** (op.weight_bits - 1) - 1
    found = max(int(op.weight.max(initial=0)), -int(op.weight.min(initial=0)))
    if found > largest:
        raise BuildError(
            f"{op.layer}: {op.weight_bits}-bit weights are within +-{largest}, found {found}"
        )
    if not 0 <= op.input_zero_point < 2**op.activation_bits:
        raise BuildError(
            f"{op.layer}: a {op.activation_bits}-bit zero point is within 0 and "
            f"{2**op.activation_bits - 1}, found {op.input_zero_point}"
        )
