"""Selecting the kernel of each operator of a converted network."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.errors import BuildError
from hardware.islands import plan_float_call
from hardware.kernels.context import PlanContext, limits
from hardware.kernels.geometry import Geometry
from hardware.kernels.layers import plan_layer
from hardware.kernels.lookup import lookup_kernel
from hardware.kernels.moving import avg_pool_kernel, concat_kernel, max_pool_kernel
from hardware.kernels.multiply import multiply_kernel
from hardware.kernels.padding import pad_kernel
from hardware.kernels.plan import KernelPlan
from hardware.kernels.pointwise import (
    add_kernel,
    dequantize_kernel,
    quantize_input_kernel,
    requantize_kernel,
)
from hardware.steps import Step
from quant.deploy_graph import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    Dequantize,
    Flatten,
    FloatCall,
    Linear,
    Lookup,
    MaxPool2d,
    Multiply,
    Pad2d,
    QuantizeInput,
    Requantize,
)

__all__ = ["plan_step"]


def plan_step(step: Step, context: PlanContext) -> KernelPlan | None:
    """Return the kernel of one step, or None for a Flatten, which moves no data.

    Args:
        step: An operator of the context's graph, and what is computed with it.
        context: Graph, batch size and target.

    Raises:
        BuildError: the operator is inconsistent with its tensors, or not known.
    """
    op = step.op
    if isinstance(op, Flatten):
        return None
    if isinstance(op, Conv2d | Linear):
        return plan_layer(op, context, step)
    plan = _PLANNERS.get(type(op))
    if plan is None:
        raise BuildError(f"no kernel for {type(op).__name__}")
    return plan(op, context)


def _plan_quantize_input(op: QuantizeInput, context: PlanContext) -> KernelPlan:
    shape, out_shape = context.shape(op.input), context.stored_shape(op.output)
    layout = context.layout(op.output)
    return context.plan(
        "quantize_input",
        {"shape": shape, "layout": asdict(layout), "out": context.dtype(op.output)},
        partial(
            quantize_input_kernel,
            shape=shape,
            layout=layout,
            out_shape=out_shape,
            dtype=context.dtype(op.output),
        ),
        (_floats(op.multiplier), limits(op.zero_point, op.clip_min, op.clip_max)),
    )


def _plan_dequantize(op: Dequantize, context: PlanContext) -> KernelPlan:
    layout, dtype = context.layout(op.input), context.dtype(op.input)
    shapes = (context.stored_shape(op.input), context.shape(op.output))
    return context.plan(
        "dequantize",
        {"layout": asdict(layout), "shapes": shapes, "dtype": dtype},
        partial(dequantize_kernel, layout=layout, shapes=shapes, dtype=dtype),
        (_floats(op.multiplier), _floats(op.zero_point)),
    )


def _plan_requantize(op: Requantize, context: PlanContext) -> KernelPlan:
    names = (op.input, op.output)
    layouts = (context.layout(op.input), context.layout(op.output))
    shapes = [context.stored_shape(name) for name in names]
    dtypes = (context.dtype(op.input), context.dtype(op.output))
    return context.plan(
        "requantize",
        {"layouts": [asdict(layout) for layout in layouts], "shapes": shapes, "dtypes": dtypes},
        partial(requantize_kernel, layouts=layouts, shapes=shapes, dtypes=dtypes),
        (_floats(op.multiplier), limits(op.zero_point, op.clip_min, op.clip_max)),
    )


def _plan_add(op: Add, context: PlanContext) -> KernelPlan:
    left, right = op.inputs
    names = (left, right, op.output)
    layouts = (context.layout(left), context.layout(right), context.layout(op.output))
    shapes = [context.stored_shape(name) for name in names]
    dtypes = (context.dtype(left), context.dtype(right), context.dtype(op.output))
    return context.plan(
        "add",
        {"layouts": [asdict(layout) for layout in layouts], "shapes": shapes, "dtypes": dtypes},
        partial(add_kernel, layouts=layouts, shapes=shapes, dtypes=dtypes),
        (_floats(*op.multipliers), _floats(op.clip_min, op.clip_max)),
    )


def _plan_multiply(op: Multiply, context: PlanContext) -> KernelPlan:
    names = (*op.inputs, op.output)
    layouts = [context.layout(name) for name in names]
    shapes = [context.stored_shape(name) for name in names]
    dtypes = [context.dtype(name) for name in names]
    return context.plan(
        "multiply",
        {"layouts": [asdict(layout) for layout in layouts], "shapes": shapes, "dtypes": dtypes},
        partial(multiply_kernel, layouts=layouts, shapes=shapes, dtypes=dtypes),
        (
            np.array(op.input_zero_points, np.int32),
            _floats(op.multiplier),
            limits(op.zero_point, op.clip_min, op.clip_max),
        ),
    )


def _plan_lookup(op: Lookup, context: PlanContext) -> KernelPlan:
    names = (op.input, op.output)
    layouts = (context.layout(op.input), context.layout(op.output))
    shapes, dtype = [context.stored_shape(name) for name in names], context.dtype(op.output)
    return context.plan(
        "lookup",
        {"layouts": [asdict(layout) for layout in layouts], "shapes": shapes, "dtype": dtype},
        partial(lookup_kernel, layouts=layouts, shapes=shapes, dtype=dtype),
        (op.table,),
    )


def _plan_max_pool(op: MaxPool2d, context: PlanContext) -> KernelPlan:
    geometry, dtype = _window(op, context), context.dtype(op.input)
    return context.plan(
        "max_pool",
        {"geometry": geometry.document(), "dtype": dtype},
        partial(max_pool_kernel, geometry=geometry, dtype=dtype),
    )


def _plan_avg_pool(op: AvgPool2d, context: PlanContext) -> KernelPlan:
    geometry = _window(op, context)
    dtypes = (context.dtype(op.input), context.dtype(op.output))
    return context.plan(
        "avg_pool",
        {"geometry": geometry.document(), "dtypes": dtypes},
        partial(avg_pool_kernel, geometry=geometry, dtypes=dtypes),
        (_floats(op.multiplier), limits(op.zero_point, op.clip_min, op.clip_max)),
    )


def _plan_concat(op: Concat, context: PlanContext) -> KernelPlan:
    names, dtype = (*op.inputs, op.output), context.dtype(op.output)
    layouts = [context.layout(name) for name in names]
    shapes = [context.stored_shape(name) for name in names]
    return context.plan(
        "concat",
        {"layouts": [asdict(layout) for layout in layouts], "shapes": shapes, "dtype": dtype},
        partial(concat_kernel, layouts=layouts, shapes=shapes, dtype=dtype),
    )


def _plan_pad(op: Pad2d, context: PlanContext) -> KernelPlan:
    dtype = context.dtype(op.output)
    layouts = (context.layout(op.input), context.layout(op.output))
    shapes = (context.stored_shape(op.input), context.stored_shape(op.output))
    return context.plan(
        "pad",
        {
            "layouts": [asdict(layout) for layout in layouts],
            "shapes": shapes,
            "before": op.before,
            "dtype": dtype,
        },
        partial(pad_kernel, layouts=layouts, shapes=shapes, before=op.before, dtype=dtype),
        (np.array([op.zero_point], dtype=dtype),),
    )


def _window(op: MaxPool2d | AvgPool2d, context: PlanContext) -> Geometry:
    batch, height, width, channels = context.shape(op.input)
    return Geometry(
        batch=batch,
        height=height,
        width=width,
        channels=channels,
        out_channels=channels,
        kernel=op.kernel,
        stride=op.stride,
        padding=op.padding,
        in_border=context.border(op.input),
        out_border=context.border(op.output),
    )


def _floats(*values: float) -> npt.NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


_PLANNERS: dict[type, Callable[[Any, PlanContext], KernelPlan]] = {
    QuantizeInput: _plan_quantize_input,
    Requantize: _plan_requantize,
    Add: _plan_add,
    Multiply: _plan_multiply,
    Lookup: _plan_lookup,
    MaxPool2d: _plan_max_pool,
    AvgPool2d: _plan_avg_pool,
    Concat: _plan_concat,
    Pad2d: _plan_pad,
    Dequantize: _plan_dequantize,
    FloatCall: plan_float_call,
}
