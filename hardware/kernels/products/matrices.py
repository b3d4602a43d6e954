"""Products of two computed tensors: a 1x1 convolution whose weights are packed in each call.

    for matrix in range(batch * groups):      # an image of one row of `rows` pixels
        pack the right matrix into `weights`, less its zero point
        bias = what the left zero point adds to each column
        a direct convolution with these       # see `direct`

Right codes less their zero point are the weights: below 8 bits they always fit a signed byte, and
families on bytes take them as weights of one bit more.

    right codes   5  0  7      of 3 bits, with a zero point of 4
    weights       1 -4  3      like weights of 4 bits

Codes of 8 bits fit less 128, where a family multiplies bytes exactly; what that is beside their
zero point z is added to each row's sums: (128 - z) times the row's codes less their own zero point.

    right codes   200   3      of 8 bits, with a zero point of 100
    weights        72 -125     and each row gets 28 times its sum

A column's sum of weights is what a left row of ones would give, and is computed so.

Source: docs/integers.md, "Products of two tensors".
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import (
    Parameter,
    function,
    lanes_of,
    load,
    local_vector,
    splat,
    store,
    tile_start,
    vector_type,
)
from hardware.kernels.epilogue.layer_tensors import PixelOutputs
from hardware.kernels.families.amx import Amx
from hardware.kernels.products.amx import emit_amx
from hardware.kernels.products.direct import emit_direct
from hardware.kernels.schedule.layer_plan import TiledPlan
from hardware.kernels.shapes.geometry import Geometry
from quant.deploy_graph import Matrices


@dataclass(frozen=True, kw_only=True, slots=True)
class MatricesGeometry(Geometry):
    """A product's shapes: a matrix for each image.

    Never equal to those of a layer, so that each has tiles of its own: a product packs its weights
    in each call, and how long that takes depends on the tile too.
    """

    turned: bool
    """See `Matrices`: the other order is packed in another way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatricesPlan(TiledPlan):
    """A product of two tensors; its geometry is a `MatricesGeometry`."""

    matrices: Matrices
    right: tuple[int, ...]
    """Shape of the right tensor as it is stored."""
    centred: bool
    """Whether right codes are packed less 128, whatever their zero point."""

    @property
    def constants(self) -> int:
        """Columns, with those that fill up the last block."""
        blocks = self.schedule.blocks(self.geometry, self.family)
        return blocks * self.schedule.tile_vectors * self.family.channels

    def document(self) -> dict[str, Any]:
        """Return what shapes the code, for a kernel's key."""
        own = {"matrices": asdict(self.matrices), "right": self.right}
        return {**TiledPlan.document(self), **own, "centred": self.centred}


def matrices_parameters(plan: MatricesPlan) -> tuple[Parameter, ...]:
    """Return a kernel's arguments: both tensors, then the constants, then the output.

    Behind both zero points stands what right codes are packed less.
    """
    tensors = plan.tensors
    assert tensors.output is not None
    return (
        Parameter(name="codes", shape=tensors.codes, dtype="uint8"),
        Parameter(name="right", shape=plan.right, dtype="uint8"),
        Parameter(name="multiplier", shape=(plan.constants,), dtype="float32"),
        Parameter(name="limits", shape=(3,), dtype="float32"),
        Parameter(name="zero_points", shape=(3,), dtype="int32"),
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
        outputs = _RowOutputs(plan, named, packing.rows)
        emit = emit_amx if isinstance(plan.family, Amx) else emit_direct
        emit(plan, named, outputs, packing.emit)

    return function(symbol, parameters, body)


class _RowOutputs(PixelOutputs):
    """Emits the epilogue of one row's products, which get what the row lacks first."""

    def __init__(self, plan: MatricesPlan, buffers: Any, rows: Any | None) -> None:
        super().__init__(plan.geometry, plan.tensors, plan.epilogue, buffers)
        self.rows = rows

    def emit(
        self, sums: Sequence[Any], constant: Any, pixel: tuple[Any, Any, Any], first: Any, real: int
    ) -> None:
        """See `PixelOutputs.emit`; rows are the pixels of an image's one row."""
        if self.rows is not None:
            lacking = self.rows[pixel[2]]
            sums = [total + splat(lacking, lanes_of(total)) for total in sums]
        super().emit(sums, constant, pixel, first, real)


class _Packing:
    """Emits the packing of one right matrix, and what goes with it to columns and rows."""

    def __init__(self, plan: MatricesPlan, buffers: dict[str, Any]) -> None:
        g, f, s = plan.geometry, plan.family, plan.schedule
        self.plan, self.left, self.right = plan, buffers["codes"], buffers["right"]
        points = buffers["zero_points"]
        self.left_point, self.lost, self.lacking = points[0], points[2], points[2] - points[1]
        self.rows = T.alloc_buffer((plan.matrices.rows,), "int32") if plan.centred else None
        self.weights = T.alloc_buffer((int(np.prod(s.weight_shape(g, f))),), f.weight_dtype)
        self.bias = T.alloc_buffer((plan.constants,), "int32")
        self.ones = T.alloc_buffer((f.products,), f.code_dtype)
        self.blocks, self.steps = s.blocks(g, f), s.steps(g)

    def emit(self, matrix: Any) -> None:
        """Emit what comes before the products of one matrix."""
        plan, first = self.plan, matrix * (self.plan.matrices.depth * self.plan.matrices.columns)
        if plan.matrices.columns < plan.schedule.tile_vectors * plan.family.channels:
            self._emit_one_by_one(first)
        elif plan.matrices.turned:
            self._emit_columns(first)
        else:
            self._emit_rows(first)
        self._emit_bias()
        if self.rows is not None:
            self._emit_lacking(self.rows, matrix)

    def _emit_columns(self, first: Any) -> None:
        """Emit the packing of columns that lie in one piece: a step's codes are neighbours."""
        m, f, s = self.plan.matrices, self.plan.family, self.plan.schedule
        full, rest = divmod(m.depth, f.products)
        with T.grid(self.blocks, s.tile_vectors, f.channels) as (block, vector, lane):
            start = first + self._column(block, vector, lane) * m.depth

            def emit(step: Any, count: int) -> None:
                codes = load(self.right, start + step * f.products, count)
                place = self._place(block, step, vector) + lane * f.products
                store(self.weights, place, self._weights(codes, count), count)

            with T.serial(full) as step:
                emit(step, f.products)
            for step in range(full, self.steps):
                place = self._place(block, step, vector) + lane * f.products
                nothing = splat(T.Cast(f.weight_dtype, T.int32(0)), f.products)
                store(self.weights, place, nothing, f.products)
            for code in range(rest):
                weight = self._weights(self.right[start + full * f.products + code], 1)
                place = self._place(block, full, vector) + lane * f.products + code
                store(self.weights, place, weight, 1)

    def _emit_rows(self, first: Any) -> None:
        """Emit the packing of rows that lie in one piece: as many as a step has codes are mixed."""
        m, f, s = self.plan.matrices, self.plan.family, self.plan.schedule
        full = m.depth // f.products
        order = [
            code * f.channels + lane for lane in range(f.channels) for code in range(f.products)
        ]
        with T.grid(self.blocks, s.tile_vectors) as (block, vector):
            start = first + self._column(block, vector, 0)

            def emit(step: Any, real: int) -> None:
                rows = [
                    load(self.right, start + (step * f.products + code) * m.columns, f.channels)
                    for code in range(real)
                ]
                # Of weight zero.
                point = T.broadcast(T.Cast("uint8", self.lost), f.channels)
                rows += [point] * (f.products - real)
                mixed = tirx.Shuffle(rows, order) if f.products > 1 else rows[0]
                weights = self._weights(mixed, f.weight_lanes)
                store(self.weights, self._place(block, step, vector), weights, f.weight_lanes)

            with T.serial(full) as step:
                emit(step, f.products)
            for step in range(full, self.steps):
                emit(step, max(0, m.depth - step * f.products))

    def _emit_one_by_one(self, first: Any) -> None:
        """Emit the packing of fewer columns than a block has: the last one is repeated."""
        m, f, s = self.plan.matrices, self.plan.family, self.plan.schedule
        with T.grid(self.blocks, self.steps, s.tile_vectors, f.channels, f.products) as (
            block,
            step,
            vector,
            lane,
            code,
        ):
            column = T.min(self._column(block, vector, lane), m.columns - 1)
            at = step * f.products + code
            inside = T.min(at, m.depth - 1)
            place = column * m.depth + inside if m.turned else inside * m.columns + column
            weight = self._weights(self.right[first + place], 1)
            nothing = T.Cast(f.weight_dtype, T.int32(0))
            store(
                self.weights,
                self._place(block, step, vector) + lane * f.products + code,
                T.if_then_else(at < m.depth, weight, nothing),
                1,
            )

    def _emit_bias(self) -> None:
        """Emit what the left zero point adds: its product with each column's sum of weights."""
        f, s = self.plan.family, self.plan.schedule
        shift = self.left_point - f.code_shift()
        with T.serial(f.products) as code:
            store(self.ones, code, T.Cast(f.code_dtype, T.int32(1)), 1)
        with T.grid(self.blocks, s.tile_vectors) as (block, vector):
            sums = [local_vector("int32", f.wide_lanes) for _ in range(f.wide_vectors)]
            for total in sums:
                store(total, 0, splat(T.int32(0), f.wide_lanes), f.wide_lanes)
            with T.serial(self.steps) as step:
                weight = f.read_weight(self.weights, self._place(block, step, vector))
                added = f.multiply_add(None, f.read_code(self.ones, 0, None), weight)
                parts = f.finish(f.fold(added) if f.depth else (added,))
                for total, part in zip(sums, parts, strict=True):
                    store(total, 0, load(total, 0, f.wide_lanes) + part, f.wide_lanes)
            place = (block * s.tile_vectors + vector) * f.channels
            for number, total in enumerate(sums):
                value = load(total, 0, f.wide_lanes) * splat(-shift, f.wide_lanes)
                store(self.bias, place + number * f.wide_lanes, value, f.wide_lanes)

    def _emit_lacking(self, rows: Any, matrix: Any) -> None:
        """Emit what the sums of each row lack, as its right codes lost 128 and not their point."""
        m = self.plan.matrices
        with T.serial(m.rows) as row:
            total = local_vector("int32", 1)
            store(total, 0, T.int32(0), 1)
            with T.serial(m.depth) as at:
                code = self.left[(matrix * m.rows + row) * m.depth + at]
                store(total, 0, total[0] + T.Cast("int32", code), 1)
            real = total[0] - self.left_point * m.depth
            store(rows, row, real * self.lacking, 1)

    def _place(self, block: Any, step: Any, vector: Any) -> Any:
        """Return where a vector of weights is."""
        vectors = self.plan.schedule.tile_vectors
        return ((block * self.steps + step) * vectors + vector) * self.plan.family.weight_lanes

    def _column(self, block: Any, vector: Any, lane: Any) -> Any:
        """Return the column of a lane; it may lie beyond the last where columns fill no block."""
        channels = self.plan.family.channels
        first = tile_start(
            block, self.plan.schedule.tile_vectors * channels, self.plan.matrices.columns
        )
        return first + vector * channels + lane

    def _weights(self, codes: Any, lanes: int) -> Any:
        """Return codes less their zero point, which fit the family's weights."""
        dtype = self.plan.family.weight_dtype
        point = splat(T.Cast(dtype, self.lost), lanes)
        return T.Cast(vector_type(dtype, lanes), codes) - point
