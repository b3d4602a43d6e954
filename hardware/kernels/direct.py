"""Direct convolution in TensorIR: every family, any geometry, any number of channels.

For each image, the codes are copied into a scratch with the border around them (in 16 bits where
the family reads them so); then every register tile of output pixels and channels walks the steps
of its sum. The last tile of a row of tiles is moved back to end at the border: it computes a few
outputs again, to the same values, and no tile needs a guard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emit import Parameter, function, load, store, tile_count, tile_start
from hardware.kernels.families import LANES, Family
from hardware.kernels.geometry import Geometry
from hardware.kernels.padding import emit_padded_copy
from hardware.kernels.requantize import emit_output_vector
from hardware.kernels.schedule import Schedule

__all__ = ["direct_kernel"]

Shape = tuple[int, ...]


def direct_kernel(
    symbol: str,
    geometry: Geometry,
    family: Family,
    schedule: Schedule,
    shapes: tuple[Shape, Shape],
    out_dtype: str,
) -> Any:
    """Return the TensorIR function of one layer.

    Its arguments: codes u8; weights (see `packing.pack_weights`); bias int32 and multiplier float32
    `[out_channels, at least LANES in a group]`; limits float32 `[zero_point, clip_min, clip_max]`
    (not read where the output is float32); border u8 `[1]`, the code of padding; output.

    Args:
        symbol: Name of the compiled function.
        geometry: The layer's shapes.
        family: How products are summed.
        schedule: Register tile and order of the steps.
        shapes: Shapes of the input and the output tensor, batch first.
        out_dtype: `uint8`, `int16` or `float32` (logits).
    """
    kernel = _Direct(geometry, family, schedule, out_dtype)
    channels = kernel.padded_channels
    parameters = (
        Parameter(name="codes", shape=shapes[0], dtype="uint8"),
        Parameter(
            name="weights",
            shape=schedule.weight_shape(geometry, family),
            dtype=family.weight_dtype,
        ),
        Parameter(name="bias", shape=(channels,), dtype="int32"),
        Parameter(name="multiplier", shape=(channels,), dtype="float32"),
        Parameter(name="limits", shape=(3,), dtype="float32"),
        Parameter(name="border", shape=(1,), dtype="uint8"),
        Parameter(name="output", shape=shapes[1], dtype=out_dtype),
    )
    return function(symbol, parameters, kernel.emit)


@dataclass(frozen=True, slots=True)
class _Tile:
    """Where one register tile stands: all may be symbolic."""

    image: Any
    group: Any
    block: Any
    row: Any
    column: Any


@dataclass(frozen=True, slots=True)
class _Steps:
    """Where the next steps of one sum read: all may be symbolic."""

    read: Any
    position: Any
    """Of the first step's codes of the tile's first pixel in `read`."""
    weights: Any
    first: Any
    """The first step among all steps of the weights."""


class _Direct:
    """Emits the body of one kernel."""

    def __init__(
        self, geometry: Geometry, family: Family, schedule: Schedule, out_dtype: str
    ) -> None:
        """Keep what the kernel is made of."""
        self.geometry, self.family, self.schedule = geometry, family, schedule
        self.out_dtype = out_dtype
        self.pixels = tuple(product(range(schedule.tile_rows), range(schedule.tile_columns)))
        self.vectors = range(schedule.tile_vectors)

    @property
    def padded_channels(self) -> int:
        """Length of bias and multiplier: groups narrower than a vector are filled up."""
        return self.geometry.groups * max(self.geometry.group_out_channels, LANES)

    def emit(self, *arguments: Any) -> None:
        """Emit the loops over images, groups, blocks of channels and tiles of pixels."""
        codes, weights, bias, multiplier, limits, border, output = arguments
        g, s = self.geometry, self.schedule
        copied = s.reads_copy(g, self.family)
        if copied:
            scratch = T.alloc_buffer((s.scratch_codes(g, self.family),), self.family.code_dtype)
        with T.serial(g.batch) as image:
            if copied:
                emit_padded_copy(codes, scratch, border, g, image)
                read, start = scratch, 0
            else:
                read, start = codes, image * g.image_codes
            with T.grid(
                g.groups,
                s.blocks(g),
                tile_count(g.out_height, s.tile_rows),
                tile_count(g.out_width, s.tile_columns),
            ) as (group, block, tile_row, tile_column):
                tile = _Tile(
                    image=image,
                    group=group,
                    block=block,
                    row=tile_start(tile_row, s.tile_rows, g.out_height),
                    column=tile_start(tile_column, s.tile_columns, g.out_width),
                )
                sums = self._emit_sums(read, start, weights, tile)
                self._emit_outputs(sums, bias, multiplier, limits, output, tile)

    def _emit_sums(self, read: Any, start: Any, weights: Any, tile: _Tile) -> list[Any]:
        """Emit the sums of one tile into registers, and return their buffers."""
        g, s = self.geometry, self.schedule
        sums = _accumulators(len(self.pixels) * len(self.vectors), LANES, "int32")
        origin = (
            start
            + tile.row * (g.stride[0] * g.row_codes)
            + tile.column * (g.stride[1] * g.channels)
            + tile.group * (g.channels // g.groups)
        )
        block = tile.group * s.blocks(g) + tile.block

        def steps_at(run: Any, step: Any) -> _Steps:
            """Return the next steps from a step of a run on."""
            return _Steps(
                read=read,
                position=origin + g.run_offset(run) + step * self.family.products,
                weights=weights,
                first=(block * g.runs + run) * s.run_steps + step,
            )

        with T.grid(g.runs // s.chunk_runs, s.run_chunks) as (outer, chunk):
            if self.family.depth and s.is_short_chunk:
                self._emit_short_chunk(steps_at(outer, chunk * s.chunk_steps), sums)
                return sums
            narrow = self._emit_narrow_sums()
            with T.grid(s.chunk_runs, s.chunk_steps // s.unroll) as (inner, some):
                run = outer * s.chunk_runs + inner
                steps = steps_at(run, chunk * s.chunk_steps + some * s.unroll)
                for ahead in range(s.unroll):
                    self._emit_step(steps, ahead, narrow or sums)
            for total, part in zip(sums, narrow, strict=False):
                self._add(total, self.family.widen(load(part, 0, 2 * LANES)))
        return sums

    def _emit_narrow_sums(self) -> list[Any]:
        if self.family.depth == 0:
            return []
        return _accumulators(len(self.pixels) * len(self.vectors), 2 * LANES, "int16")

    def _emit_step(self, steps: _Steps, ahead: int, sums: Sequence[Any]) -> None:
        """Emit one step: the same codes against every vector of weights, for every pixel."""
        places = product(self.pixels, self.vectors)
        for total, (pixel, vector) in zip(sums, places, strict=True):
            code, weight = self._code(steps, ahead, pixel), self._weight(steps, ahead, vector)
            self._add(total, self.family.multiply(code, weight))

    def _emit_short_chunk(self, steps: _Steps, sums: Sequence[Any]) -> None:
        """Emit a chunk of few steps, one accumulator after another.

        No narrow sum outlives its accumulator's turn: registers are left for the accumulators.
        """
        for total, (pixel, vector) in zip(sums, product(self.pixels, self.vectors), strict=True):
            narrow = None
            for ahead in range(self.schedule.chunk_steps):
                code, weight = self._code(steps, ahead, pixel), self._weight(steps, ahead, vector)
                term = self.family.multiply(code, weight)
                narrow = term if narrow is None else narrow + term
            self._add(total, self.family.widen(narrow))

    def _code(self, steps: _Steps, ahead: int, pixel: tuple[int, int]) -> Any:
        g, products = self.geometry, self.family.products
        offset = pixel[0] * g.stride[0] * g.row_codes + pixel[1] * g.stride[1] * g.channels
        return load(steps.read, steps.position + offset + ahead * products, products)

    def _weight(self, steps: _Steps, ahead: int, vector: int) -> Any:
        width = LANES * self.family.products
        index = (steps.first + ahead) * len(self.vectors) + vector
        return load(steps.weights, index * width, width)

    def _add(self, total: Any, term: Any) -> None:
        lanes = int(total.shape[0])
        store(total, 0, load(total, 0, lanes) + term, lanes)

    def _emit_outputs(
        self,
        sums: Sequence[Any],
        bias: Any,
        multiplier: Any,
        limits: Any,
        output: Any,
        tile: _Tile,
    ) -> None:
        """Emit the epilogue of one tile."""
        g = self.geometry
        channel = tile_start(
            tile.block, LANES * len(self.vectors), self.geometry.group_out_channels
        )
        real = min(self.geometry.group_out_channels, LANES)
        index = 0
        for row, column in self.pixels:
            pixel = (tile.image * g.out_height + tile.row + row) * g.out_width
            pixel = (pixel + tile.column + column) * g.out_channels
            for vector in self.vectors:
                offset = channel + vector * LANES
                constant = tile.group * max(self.geometry.group_out_channels, LANES) + offset
                emit_output_vector(
                    load(sums[index], 0, LANES) + load(bias, constant, LANES),
                    load(multiplier, constant, LANES),
                    limits,
                    output,
                    pixel + tile.group * self.geometry.group_out_channels + offset,
                    width=LANES,
                    real=real,
                )
                index += 1


def _accumulators(count: int, lanes: int, dtype: str) -> list[Any]:
    """Emit `count` zeroed vectors; with constant indices alone they stay in registers."""
    buffers = [T.alloc_buffer((lanes,), dtype, scope="local") for _ in range(count)]
    for buffer in buffers:
        zero = T.int32(0) if dtype == "int32" else T.int16(0)
        store(buffer, 0, T.broadcast(zero, lanes), lanes)
    return buffers
