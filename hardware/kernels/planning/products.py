"""Planning products of two computed tensors: the family by their bits, and the kernel."""

from functools import partial

import numpy as np

from hardware.errors import BuildError
from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.epilogue.epilogue import PackedEpilogue, PlainEpilogue
from hardware.kernels.epilogue.layer_tensors import LayerTensors
from hardware.kernels.families.amx import AMX, FEWEST_PIXELS
from hardware.kernels.families.arm_dot import ArmDot
from hardware.kernels.families.avx2 import Avx2Words
from hardware.kernels.families.family import Family
from hardware.kernels.families.generic import Generic
from hardware.kernels.planning.choose_family import VNNI, WHOLE_BITS, avx2_bytes
from hardware.kernels.planning.context import PlanContext, limits
from hardware.kernels.planning.layers import is_shared
from hardware.kernels.products.matrices import (
    MatricesGeometry,
    MatricesPlan,
    matrices_function,
    matrices_parameters,
)
from hardware.target import KernelFamily
from quant.deploy_graph import MatMul

_MIDDLE = 128
"""What codes of eight bits lose to fit a signed byte."""


def plan_matrices(op: MatMul, context: PlanContext) -> KernelPlan:
    """Plan the kernel of a product of two computed tensors.

    Raises:
        BuildError: zero points beyond the codes, or shapes that do not belong together.
    """
    plan = plan_product(op, context)
    lost = _MIDDLE if plan.centred else op.input_zero_points[1]
    return context.plan(
        "matrices",
        plan.document(),
        partial(matrices_function, plan=plan, parameters=matrices_parameters(plan)),
        (
            np.full(plan.constants, op.multiplier, np.float32),
            limits(op.zero_point, op.clip_min, op.clip_max),
            np.array([*op.input_zero_points, lost], np.int32),
            np.array(op.input_zero_points[:1], np.uint8),
        ),
        plan.family.name,
    )


def plan_product(op: MatMul, context: PlanContext) -> MatricesPlan:
    """Decide everything that shapes the kernel of a product: how it is summed, and tiles.

    Raises:
        BuildError: see `plan_matrices`.
    """
    _check(op, context)
    matrices = op.matrices
    geometry = MatricesGeometry(
        batch=context.batch * matrices.groups,
        height=1,
        width=matrices.rows,
        channels=matrices.depth,
        out_channels=matrices.columns,
        turned=matrices.turned,
    )
    family = matrices_family(context.target.family, op.bits, matrices.rows)
    epilogue = context.target.epilogue()
    if isinstance(epilogue, PackedEpilogue) and family.wide_lanes < epilogue.lanes:
        epilogue = PlainEpilogue()
    return MatricesPlan(
        geometry=geometry,
        tensors=LayerTensors(
            codes=context.stored_shape(op.inputs[0]),
            output=context.stored_shape(op.output),
            out_dtype=context.dtype(op.output),
        ),
        epilogue=epilogue,
        parallel=is_shared(geometry, context),
        family=family,
        schedule=context.schedule(geometry, family),
        matrices=matrices,
        right=context.stored_shape(op.inputs[1]),
        centred=op.bits[1] == WHOLE_BITS and family.weight_dtype == "int8",
    )


def matrices_family(kind: KernelFamily, bits: tuple[int, int], rows: int) -> Family:
    """Return the family of a product that is exact for its bits, whatever its zero points.

    Args:
        kind: Which group of kernels.
        bits: Of the left and the right codes.
        rows: Of the left matrix.
    """
    left, right = bits
    if kind == "amx" and rows >= FEWEST_PIXELS:
        return AMX
    if kind in VNNI:
        return VNNI[kind]
    if kind == "arm-dot":
        return ArmDot(
            products=4, weight_lanes=16, code_dtype="int8" if left == WHOLE_BITS else "uint8"
        )
    if right < WHOLE_BITS and kind == "avx2":
        by_bytes = avx2_bytes(right + 1, left)  # for weights within 2^right - 1
        if by_bytes is not None:
            return by_bytes
    if kind == "avx2":
        return Avx2Words()
    return Generic(name="generic-words", weight_dtype="int16")


def _check(op: MatMul, context: PlanContext) -> None:
    found = tuple(context.shape(name) for name in (*op.inputs, op.output))
    sizes = (op.matrices.left, op.matrices.right, op.matrices.made)
    wrong = any(
        int(np.prod(shape)) != context.batch * int(np.prod(size))
        for shape, size in zip(found, sizes, strict=True)
    )
    if wrong:
        raise BuildError(f"{op.output}: expected matrices of {sizes}, found tensors of {found}")
    for zero_point, bits in zip(op.input_zero_points, op.bits, strict=True):
        if not 0 <= zero_point < 2**bits:
            raise BuildError(
                f"{op.output}: a {bits}-bit zero point is within 0 and {2**bits - 1}, found "
                f"{zero_point}"
            )
