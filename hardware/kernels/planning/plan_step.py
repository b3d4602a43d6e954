"""Selecting the kernel of each operator of a converted network."""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.errors import BuildError
from hardware.graph.program_steps import Step
from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.moving.embedding import embedding_kernel
from hardware.kernels.moving.gather import avg_pool_kernel, concat_kernel, max_pool_kernel
from hardware.kernels.moving.lookup import lookup_kernel
from hardware.kernels.moving.move import constant_kernel, move_kernel
from hardware.kernels.moving.padding import pad_kernel
from hardware.kernels.moving.pointwise import (
    add_kernel,
    dequantize_in_place_kernel,
    dequantize_kernel,
    multiply_kernel,
    quantize_input_kernel,
    requantize_kernel,
)
from hardware.kernels.planning.context import PlanContext, limits
from hardware.kernels.planning.islands import plan_float_call
from hardware.kernels.planning.layers import plan_layer_kernel
from hardware.kernels.planning.products import plan_matrices
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.layout import Layout
from quant.deploy_graph import (
    Add,
    AvgPool2d,
    Concat,
    Constant,
    Conv2d,
    DeployOp,
    Dequantize,
    Embedding,
    FloatCall,
    Linear,
    Lookup,
    MatMul,
    MaxPool2d,
    Move,
    Multiply,
    Pad2d,
    QuantizeInput,
    Requantize,
    Reshape,
    read_names,
)


def plan_step(step: Step, context: PlanContext) -> KernelPlan | None:
    """Return the kernel of one step, or None for a Reshape, which moves no data.

    Args:
        step: An operator of the context's graph, and what is computed with it.
        context: Graph, batch size and target.

    Raises:
        BuildError: the operator is inconsistent with its tensors, or not known.
    """
    op = step.op
    if isinstance(op, Reshape):
        return None
    if isinstance(op, Conv2d | Linear):
        return plan_layer_kernel(step, context)
    plan = _PLANNERS.get(type(op))
    if plan is None:
        raise BuildError(f"no kernel for {type(op).__name__}")
    return plan(op, context)


def _plan_quantize_input(op: QuantizeInput, context: PlanContext) -> KernelPlan:
    shape, out_shape = context.shape(op.input), context.stored_shape(op.output)
    layout = context.layout(op.output)
    if op.last and len(shape) == 4:
        return _plan_quantize_in_place(op, context)
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


def _plan_quantize_in_place(op: QuantizeInput, context: PlanContext) -> KernelPlan:
    """Plan the kernel from floats that lie as the codes will: a scale is all that changes."""
    constants = (_floats(op.multiplier), limits(op.zero_point, op.clip_min, op.clip_max))
    dtypes = _dtypes(op, context)
    return _plan_over(op, context, "requantize", requantize_kernel, constants, dtypes=dtypes)


def _plan_dequantize(op: Dequantize, context: PlanContext) -> KernelPlan:
    layout, dtype = context.layout(op.input), context.dtype(op.input)
    if op.last and len(context.shape(op.output)) == 4:
        constants = (_floats(op.multiplier), _floats(op.zero_point))
        return _plan_over(
            op, context, "dequantize_in_place", dequantize_in_place_kernel, constants, dtype=dtype
        )
    shapes = (context.stored_shape(op.input), context.shape(op.output))
    return context.plan(
        "dequantize",
        {"layout": asdict(layout), "shapes": shapes, "dtype": dtype},
        partial(dequantize_kernel, layout=layout, shapes=shapes, dtype=dtype),
        (_floats(op.multiplier), _floats(op.zero_point)),
    )


def _plan_requantize(op: Requantize, context: PlanContext) -> KernelPlan:
    constants = (_floats(op.multiplier), limits(op.zero_point, op.clip_min, op.clip_max))
    dtypes = _dtypes(op, context)
    return _plan_over(op, context, "requantize", requantize_kernel, constants, dtypes=dtypes)


def _plan_add(op: Add, context: PlanContext) -> KernelPlan:
    constants = (_floats(*op.multipliers), _floats(op.clip_min, op.clip_max))
    dtypes = _dtypes(op, context)
    return _plan_over(op, context, "add", add_kernel, constants, dtypes=dtypes)


def _plan_multiply(op: Multiply, context: PlanContext) -> KernelPlan:
    constants = (
        np.array(op.input_zero_points, np.int32),
        _floats(op.multiplier),
        limits(op.zero_point, op.clip_min, op.clip_max),
    )
    dtypes = _dtypes(op, context)
    return _plan_over(op, context, "multiply", multiply_kernel, constants, dtypes=dtypes)


def _plan_lookup(op: Lookup, context: PlanContext) -> KernelPlan:
    dtype = context.dtype(op.output)
    return _plan_over(op, context, "lookup", lookup_kernel, (op.table,), dtype=dtype)


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
    dtype = context.dtype(op.output)
    if op.axis < 0:
        return _plan_over(op, context, "concat", concat_kernel, dtype=dtype)
    names = (*op.inputs, op.output)
    # Whole rows, or whole images, are what channels are otherwise.
    layouts = tuple(_joined(context.layout(name), op.axis) for name in names)
    shapes = tuple(context.stored_shape(name) for name in names)
    return context.plan(
        "concat",
        {"layouts": [asdict(layout) for layout in layouts], "shapes": shapes, "dtype": dtype},
        partial(concat_kernel, layouts=layouts, shapes=shapes, dtype=dtype),
    )


def _joined(layout: Layout, axis: int) -> Layout:
    if axis == 1:
        return replace(layout, width=1, channels=layout.row_values)
    return replace(layout, height=1, width=1, channels=layout.height * layout.row_values)


def _plan_move(op: Move, context: PlanContext) -> KernelPlan:
    shapes = (context.stored_shape(op.input), context.stored_shape(op.output))
    strides, dtype = op.strides, context.dtype(op.output)
    code = {"offset": strides.offset, "sizes": strides.sizes, "steps": strides.steps}
    return context.plan(
        "move",
        {"shapes": shapes, "dtype": dtype, **code},
        partial(
            move_kernel,
            shapes=shapes,
            offset=strides.offset,
            sizes=strides.sizes,
            steps=strides.steps,
            dtype=dtype,
        ),
    )


def _plan_embedding(op: Embedding, context: PlanContext) -> KernelPlan:
    shapes = (context.shape(op.input), op.table.shape, context.stored_shape(op.output))
    dtype = context.dtype(op.output)
    return context.plan(
        "embedding",
        {"shapes": shapes, "dtype": dtype},
        partial(embedding_kernel, shapes=shapes, dtype=dtype),
        (op.table,),
    )


def _plan_constant(op: Constant, context: PlanContext) -> KernelPlan:
    shape, dtype = context.stored_shape(op.output), context.dtype(op.output)
    return context.plan(
        "constant",
        {"shape": shape, "dtype": dtype},
        partial(constant_kernel, shape=shape, dtype=dtype),
        (op.codes,),
    )


def _plan_pad(op: Pad2d, context: PlanContext) -> KernelPlan:
    dtype = context.dtype(op.output)
    constants = (np.array([op.zero_point], dtype=dtype),)
    return _plan_over(op, context, "pad", pad_kernel, constants, before=op.before, dtype=dtype)


def _plan_over(
    op: DeployOp,
    context: PlanContext,
    kernel: str,
    build: Callable[..., Any],
    constants: tuple[npt.NDArray[Any], ...] = (),
    **code: Any,
) -> KernelPlan:
    """Return the plan of a kernel that is written for its tensors as they are stored.

    Args:
        op: The operator.
        context: Graph, batch size and target.
        kernel: Which kernel.
        build: Makes its function of a symbol, `layouts`, `shapes` and `code`.
        constants: Arrays passed at run time.
        code: What else shapes the code, as JSON.
    """
    names = (*read_names(op), op.output)
    layouts = tuple(context.layout(name) for name in names)
    shapes = tuple(context.stored_shape(name) for name in names)
    return context.plan(
        kernel,
        {"layouts": [asdict(layout) for layout in layouts], "shapes": shapes, **code},
        partial(build, layouts=layouts, shapes=shapes, **code),
        constants,
    )


def _dtypes(op: DeployOp, context: PlanContext) -> tuple[str, ...]:
    """Return the types of an operator's inputs and of its output."""
    return tuple(context.dtype(name) for name in (*read_names(op), op.output))


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
    MatMul: plan_matrices,
    Lookup: _plan_lookup,
    MaxPool2d: _plan_max_pool,
    AvgPool2d: _plan_avg_pool,
    Concat: _plan_concat,
    Move: _plan_move,
    Embedding: _plan_embedding,
    Constant: _plan_constant,
    Pad2d: _plan_pad,
    Dequantize: _plan_dequantize,
    FloatCall: plan_float_call,
}
