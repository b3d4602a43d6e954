"""Planning convolutions and matrix products: what their kernels are made of, packed constants."""

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np
import numpy.typing as npt

from hardware.errors import BuildError
from hardware.graph.program_steps import Step
from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.epilogue.epilogue import PlainEpilogue
from hardware.kernels.epilogue.layer_tensors import LayerTensors
from hardware.kernels.families.amx import Amx
from hardware.kernels.planning.choose_family import choose_depthwise
from hardware.kernels.planning.context import PlanContext, limits
from hardware.kernels.products.amx import emit_amx
from hardware.kernels.products.depthwise import DepthwisePlan, emit_depthwise, pack_depthwise
from hardware.kernels.products.direct import emit_direct, pack_direct
from hardware.kernels.products.winograd_kernel import emit_winograd
from hardware.kernels.products.winograd_packing import pack_winograd
from hardware.kernels.schedule.layer_plan import Packed, TiledPlan, layer_function
from hardware.kernels.shapes.geometry import Geometry
from quant.deploy_graph import Conv2d, Linear

_SHARED_PRODUCTS = 200_000
"""Products below which waking the threads takes longer than they save."""


def plan_layer_kernel(step: Step, context: PlanContext) -> KernelPlan:
    """Plan the kernel of a layer, with what its step computes beside it.

    Raises:
        BuildError: codes wider than their bits, or shapes that do not belong together.
    """
    op = _layer(step)
    _check_codes(op)
    plan = plan_layer(step, context)
    kernel, pack, emit = _kernel(plan)
    weights, bias, multiplier, beside = pack(op, plan)
    constants = {
        "weights": weights,
        "bias": bias,
        "multiplier": multiplier,
        # Not read where the output is float32.
        "limits": limits(op.epilogue.zero_point, op.epilogue.clip_min, op.epilogue.clip_max),
        # The code of padding.
        "border": np.array([op.input_zero_point], dtype=np.uint8),
        **beside,
        **_follow_constants(step),
    }
    parameters = plan.tensors.parameters(constants)
    return context.plan(
        kernel,
        plan.document(),
        partial(layer_function, plan=plan, parameters=parameters, emit=emit),
        tuple(constants.values()),
        plan.family.name,
    )


def plan_layer(step: Step, context: PlanContext) -> TiledPlan | DepthwisePlan:
    """Decide everything that shapes the kernel of a layer: how its products are summed, and tiles.

    Raises:
        BuildError: shapes that do not belong together.
    """
    op, target = _layer(step), context.target
    bits = (op.weight_bits, op.activation_bits)
    geometry, tensors = _geometry(op, context), _tensors(op, step, context)
    parallel, epilogue = is_shared(geometry, context), target.epilogue()
    if 1 < geometry.groups == geometry.channels == geometry.out_channels:
        taps = prod(geometry.kernel)
        depthwise = choose_depthwise(target.family, *bits, taps, geometry.channels)
        return DepthwisePlan(
            geometry=geometry,
            tensors=tensors,
            epilogue=epilogue if depthwise.lanes >= 8 else PlainEpilogue(),
            parallel=parallel,
            family=depthwise,
        )
    if not any(tensors.narrow_border) and target.threads == 1:
        # One row of pixels has one tile less at its end; threads share rows.
        geometry = geometry.flatten()
    family = context.family(target.family, *bits, geometry, target.transform)
    return TiledPlan(
        geometry=geometry,
        tensors=tensors,
        epilogue=epilogue,
        parallel=parallel,
        family=family,
        schedule=context.schedule(geometry, family),
    )


def _layer(step: Step) -> Conv2d | Linear:
    assert isinstance(step.op, Conv2d | Linear)
    return step.op


def _kernel(
    plan: TiledPlan | DepthwisePlan,
) -> tuple[str, Callable[..., Packed], Callable[..., None]]:
    """Return the name of a layer's kernel, what packs its constants, and what emits its body."""
    if isinstance(plan, DepthwisePlan):
        return "depthwise", pack_depthwise, emit_depthwise
    if isinstance(plan.family, Amx):
        return "amx", pack_direct, emit_amx
    if plan.family.winograd:
        return "winograd", pack_winograd, emit_winograd
    return "direct", pack_direct, emit_direct


def is_shared(geometry: Geometry, context: PlanContext) -> bool:
    """Return whether a layer is large enough for threads to share it."""
    pixels = geometry.batch * geometry.out_height * geometry.out_width
    products = pixels * geometry.runs * geometry.run_codes * geometry.out_channels
    return context.target.threads > 1 and products >= _SHARED_PRODUCTS


def _tensors(op: Conv2d | Linear, step: Step, context: PlanContext) -> LayerTensors:
    wide, narrow = context.stored_shape(op.output), step.requantize
    return LayerTensors(
        codes=context.stored_shape(op.input),
        output=wide if step.keeps_wide else None,
        out_dtype=context.dtype(op.output),
        adds=step.add is not None,
        wide=wide,
        narrow=None if narrow is None else context.stored_shape(narrow.output),
        narrow_border=(0, 0) if narrow is None else context.border(narrow.output),
    )


def _follow_constants(step: Step) -> dict[str, npt.NDArray[np.float32]]:
    """Return scales and limits of what follows (see `Follow`), neutral ones of what is missing."""
    if not step.followers:
        return {}
    epilogue = _layer(step).epilogue
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
    return {
        "scales": np.array([own, other, last[0]], np.float32),
        "follow_limits": np.array([low, high, *last[1:]], np.float32),
    }


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
