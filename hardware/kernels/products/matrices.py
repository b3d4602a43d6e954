"""Products of two computed tensors: a 1x1 convolution whose weights are packed in each call.

    for matrix in range(batch * groups):      # an image of one row of `rows` pixels
        pack the right matrix into `weights`, less its zero point
        bias = what the left zero point adds to each column
        a direct convolution with these       # see `direct`

Right codes less their zero point are the weights: below 8 bits they always fit a signed byte, and
families on bytes take them as weights of one bit more. Codes of 8 bits fit where their zero point
is 128, and else take 16 bits.

    right codes   5  0  7      of 3 bits, with a zero point of 4
    weights       1 -4  3      like weights of 4 bits, and -4 in addition

Source: docs/integers.md, "Products of two tensors".
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import Parameter, function, store, tile_start
from hardware.kernels.epilogue.layer_tensors import PixelOutputs
from hardware.kernels.products.direct import emit_direct
from hardware.kernels.schedule.layer_plan import TiledPlan
from quant.matrices import Matrices


@dataclass(frozen=True, kw_only=True, slots=True)
class MatricesPlan(TiledPlan):
    """A product of two tensors; its geometry has a matrix for each image."""

    matrices: Matrices
    right: tuple[int, ...]
    """Shape of the right tensor as it is stored."""

    @property
    def constants(self) -> int:
        """Columns, with those that fill up the last block."""
        blocks = self.schedule.blocks(self.geometry, self.family)
        return blocks * self.schedule.tile_vectors * self.family.channels

    def document(self) -> dict[str, Any]:
        """Return what shapes the code, for a kernel's key."""
        own = {"matrices": asdict(self.matrices), "right": self.right}
        return {**TiledPlan.document(self), **own}


def matrices_parameters(plan: MatricesPlan) -> tuple[Parameter, ...]:
    """Return a kernel's arguments: both tensors, then the constants, then the output."""
    tensors = plan.tensors
    assert tensors.output is not None
    return (
        Parameter(name="codes", shape=tensors.codes, dtype="uint8"),
        Parameter(name="right", shape=plan.right, dtype="uint8"),
        Parameter(name="multiplier", shape=(plan.constants,), dtype="float32"),
        Parameter(name="limits", shape=(3,), dtype="float32"),
        Parameter(name="zero_points", shape=(2,), dtype="int32"),
        Parameter(name="border", shape=(1,), dtype="uint8"),
        Parameter(name="output", shape=tensors.output, dtype=tensors.out_dtype),
    )


def matrices_function(symbol: str, plan: MatricesPlan, parameters: Sequence[Parameter]) -> Any:
    """Return the TensorIR function of a product.

    Args:
        symbol: Name of the compiled function.
        plan: What it is made of.
        parameters: Of `matrices_parameters`.
    """

    def body(*buffers: Any) -> None:
        named = dict(zip((one.name for one in parameters), buffers, strict=True))
        packing = _Packing(plan, named)
        named |= {"weights": packing.weights, "bias": packing.bias}
        outputs = PixelOutputs(plan.geometry, plan.tensors, plan.epilogue, named)
        emit_direct(plan, named, outputs, packing.emit)

    return function(symbol, parameters, body)


class _Packing:
    """Emits the packing of one right matrix, and the bias that goes with it."""

    def __init__(self, plan: MatricesPlan, buffers: dict[str, Any]) -> None:
        g, f, s = plan.geometry, plan.family, plan.schedule
        self.plan, self.right, self.zero_points = plan, buffers["right"], buffers["zero_points"]
        size = int(np.prod(s.weight_shape(g, f)))
        self.weights = T.alloc_buffer((size,), f.weight_dtype)
        self.bias = T.alloc_buffer((plan.constants,), "int32")

    def emit(self, matrix: Any) -> None:
        """Emit what comes before the products of one matrix."""
        self._emit_weights(matrix)
        self._emit_bias(matrix)

    def _emit_weights(self, matrix: Any) -> None:
        g, f, s = self.plan.geometry, self.plan.family, self.plan.schedule
        steps, depth = s.steps(g), self.plan.matrices.depth
        blocks = s.blocks(g, f)
        with T.grid(blocks, steps, s.tile_vectors, f.channels, f.products) as (
            block,
            step,
            vector,
            lane,
            code,
        ):
            at = step * f.products + code
            weight = self._weight(matrix, T.min(at, depth - 1), self._column(block, vector, lane))
            if steps * f.products > depth:
                weight = T.if_then_else(at < depth, weight, T.int32(0))
            index = (block * steps + step) * s.tile_vectors + vector
            place = index * f.weight_lanes + lane * f.products + code
            store(self.weights, place, T.Cast(f.weight_dtype, weight), 1)

    def _emit_bias(self, matrix: Any) -> None:
        g, f, s = self.plan.geometry, self.plan.family, self.plan.schedule
        shift = self.zero_points[0] - f.code_shift()
        with T.grid(s.blocks(g, f), s.tile_vectors, f.channels) as (block, vector, lane):
            place = (block * s.tile_vectors + vector) * f.channels + lane
            store(self.bias, place, T.int32(0), 1)
            with T.If(shift != 0), T.Then():
                column = self._column(block, vector, lane)
                with T.serial(self.plan.matrices.depth) as at:
                    weight = self._weight(matrix, at, column)
                    store(self.bias, place, self.bias[place] - shift * weight, 1)

    def _column(self, block: Any, vector: Any, lane: Any) -> Any:
        """Return the column of a lane; those that fill up a block repeat the last one."""
        columns, f = self.plan.matrices.columns, self.plan.family
        channels = self.plan.schedule.tile_vectors * f.channels
        first = tile_start(block, channels, columns)
        column = first + vector * f.channels + lane
        return column if columns >= channels else T.min(column, columns - 1)

    def _weight(self, matrix: Any, at: Any, column: Any) -> Any:
        m = self.plan.matrices
        inside = column * m.depth + at if m.turned else at * m.columns + column
        code = self.right[matrix * (m.depth * m.columns) + inside]
        return T.Cast("int32", code) - self.zero_points[1]
