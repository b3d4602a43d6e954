"""Direct convolution in TensorIR: every family, any geometry, any number of channels.

Every register tile of output pixels and channels walks the steps of its sum. The kernel reads the
tensor where it lies, or a copy of each image where its family needs another form of the codes. The
last tile of rows, and the last block of channels, are moved back to end at the border: they
compute a few outputs again, to the same values, and no tile needs a guard. Columns that no full
tile covers have a narrower tile of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.copying import emit_copy, needs_copy, scratch_buffer
from hardware.kernels.emit import (
    Parameter,
    function,
    load,
    shared_grid,
    store,
    tile_count,
    tile_start,
)
from hardware.kernels.epilogue import Epilogue, Follow, Outputs, Scaling
from hardware.kernels.families.family import Family
from hardware.kernels.geometry import Geometry
from hardware.kernels.schedule import Schedule

__all__ = ["Tensors", "direct_kernel"]

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensors:
    """The tensors of a layer and of what is computed with it, as they are stored."""

    codes: Shape
    output: Shape | None
    """None where only narrow codes are kept."""
    out_dtype: str
    """`uint8`, `int16` or `float32` (logits)."""
    adds: bool = False
    """Whether another tensor of the output's shape, int16, is added."""
    wide: Shape = ()
    """Shape of the layer's own output, stored or not."""
    narrow: Shape | None = None
    """Of the narrow codes, where a requantization follows."""
    narrow_border: tuple[int, int] = (0, 0)


def direct_kernel(
    symbol: str,
    geometry: Geometry,
    family: Family,
    schedule: Schedule,
    epilogue: Epilogue,
    tensors: Tensors,
    *,
    parallel: bool = False,
) -> Any:
    """Return the TensorIR function of one layer.

    Its arguments: codes u8; the tensor that is added, int16, if any; weights (see
    `packing.pack_weights`); bias int32 and multiplier float32 (see `packing.pack_channels`); limits
    float32 `[zero_point, clip_min, clip_max]` (not read where the output is float32); border u8
    `[1]`, the code of padding; the family's lookup table, if any; scales and limits of what follows
    (see `Follow`), if anything does; the output and the narrow codes, those that are kept.

    Args:
        symbol: Name of the compiled function.
        geometry: The layer's shapes.
        family: How products are summed.
        schedule: Register tile and order of the steps.
        epilogue: How sums become outputs.
        tensors: What is read and written.
        parallel: Whether the threads of TVM's pool share the work.
    """
    kernel = _Direct(geometry, family, schedule, epilogue, tensors, parallel)
    weights = schedule.weight_shape(geometry, family)
    channels = weights[0] * weights[2] * family.channels
    lookup = family.lookup_table()
    parameters = [Parameter(name="codes", shape=tensors.codes, dtype="uint8")]
    if tensors.adds:
        parameters.append(Parameter(name="other", shape=tensors.wide, dtype="int16"))
    parameters += [
        Parameter(name="weights", shape=weights, dtype=family.weight_dtype),
        Parameter(name="bias", shape=(channels,), dtype="int32"),
        Parameter(name="multiplier", shape=(channels,), dtype="float32"),
        Parameter(name="limits", shape=(3,), dtype="float32"),
        Parameter(name="border", shape=(1,), dtype="uint8"),
    ]
    if lookup is not None:
        parameters.append(Parameter(name="lookup", shape=lookup.shape, dtype="uint8"))
    if tensors.adds or tensors.narrow is not None:
        parameters += [
            Parameter(name="scales", shape=(3,), dtype="float32"),
            Parameter(name="follow_limits", shape=(5,), dtype="float32"),
        ]
    if tensors.output is not None:
        parameters.append(Parameter(name="output", shape=tensors.output, dtype=tensors.out_dtype))
    if tensors.narrow is not None:
        parameters.append(Parameter(name="narrow", shape=tensors.narrow, dtype="uint8"))
    names = [parameter.name for parameter in parameters]
    return function(
        symbol,
        parameters,
        lambda *buffers: kernel.emit(dict(zip(names, buffers, strict=True))),
    )


@dataclass(frozen=True, slots=True)
class _Operands:
    """The buffers that sums are made of."""

    codes: Any
    start: Any
    """Of the image in `codes`."""
    weights: Any
    lookup: Any | None


@dataclass(frozen=True, slots=True)
class _Tile:
    """Where one register tile stands (all may be symbolic), and its pixels."""

    image: Any
    group: Any
    block: Any
    row: Any = 0
    column: Any = 0
    pixels: tuple[tuple[int, int], ...] = ()


class _Direct:
    """Emits the body of one kernel."""

    def __init__(
        self,
        geometry: Geometry,
        family: Family,
        schedule: Schedule,
        epilogue: Epilogue,
        tensors: Tensors,
        parallel: bool,
    ) -> None:
        """Keep what the kernel is made of."""
        self.geometry, self.family, self.schedule = geometry, family, schedule
        self.epilogue, self.tensors, self.parallel = epilogue, tensors, parallel
        self.narrow_geometry = replace(geometry, out_border=tensors.narrow_border)
        self.vectors = range(schedule.tile_vectors)

    def emit(self, buffers: Mapping[str, Any]) -> None:
        """Emit the loops over images, groups, blocks of channels and tiles of pixels."""
        g, s = self.geometry, self.schedule
        overread = s.overread_codes(g, self.family)
        copied = needs_copy(g, self.family, overread)
        if copied:
            scratch = scratch_buffer(g, self.family, overread)
        follow = None
        if "scales" in buffers:
            follow = Follow(buffers.get("other"), buffers["scales"], buffers["follow_limits"])
        scaling = Scaling(buffers["bias"], buffers["multiplier"], buffers["limits"], follow)
        output = (buffers.get("output"), buffers.get("narrow"))
        with T.serial(g.batch) as image:
            if copied:
                emit_copy(buffers["codes"], scratch, buffers["border"], g, self.family, image)
            operands = _Operands(
                codes=scratch if copied else buffers["codes"],
                start=g.first_window + (0 if copied else image * g.image_codes),
                weights=buffers["weights"],
                lookup=buffers.get("lookup"),
            )
            strips = tile_count(g.out_height, s.tile_rows) // s.strip_tiles
            with shared_grid((g.groups, s.blocks(g, self.family), strips), self.parallel) as (
                group,
                block,
                strip,
            ):
                place = _Tile(image, group, block)
                if s.panels == 1:
                    self._emit_row(operands, scaling, output, place, strip)
                else:
                    self._emit_panels(operands, scaling, output, place, strip)

    def _emit_row(
        self, operands: _Operands, scaling: Scaling, output: Any, place: _Tile, tile_row: Any
    ) -> None:
        """Emit the tiles of one row of tiles."""

        def emit_tile(tile: _Tile) -> None:
            sums = [
                vector
                for vectors in self._emit_sums(operands, tile, 0, self.schedule.panel_chunks)
                for vector in vectors
            ]
            self._emit_outputs(sums, scaling, output, tile)

        self._emit_columns(place, tile_row, emit_tile)

    def _emit_panels(
        self, operands: _Operands, scaling: Scaling, output: Any, place: _Tile, strip: Any
    ) -> None:
        """Emit one strip of a block: all tiles' sums panel by panel, then their outputs."""
        g, f, s = self.geometry, self.family, self.schedule
        values = f.channels * len(self.vectors)
        size = s.strip_tiles * s.tile_rows * g.out_width * values
        kept = T.alloc_buffer((size,), "int32")
        lanes = f.wide_lanes

        def emit_rows(emit: Callable[[_Tile, Any], None]) -> None:
            with T.serial(s.strip_tiles) as index:

                def emit_tile(tile: _Tile) -> None:
                    first = index * s.tile_rows * g.out_width + tile.column * s.tile_rows
                    emit(tile, first * values)

                self._emit_columns(place, strip * s.strip_tiles + index, emit_tile)

        with T.serial(size // lanes) as index:
            store(kept, index * lanes, T.broadcast(T.int32(0), lanes), lanes)
        with T.serial(s.panels) as panel:

            def emit_sums(tile: _Tile, first: Any) -> None:
                chunks = s.panel_chunks
                parts = self._emit_sums(operands, tile, panel * chunks, chunks)
                for number, part in enumerate(part for parts_ in parts for part in parts_):
                    at = first + number * lanes
                    store(kept, at, load(kept, at, lanes) + part, lanes)

            emit_rows(emit_sums)

        def emit_outputs(tile: _Tile, first: Any) -> None:
            count = len(tile.pixels) * values // lanes
            sums = [load(kept, first + number * lanes, lanes) for number in range(count)]
            self._emit_outputs(sums, scaling, output, tile)

        emit_rows(emit_outputs)

    def _emit_columns(
        self, place: _Tile, tile_row: Any, emit_tile: Callable[[_Tile], None]
    ) -> None:
        """Emit one row of tiles: full ones in a loop, then the rest."""
        s = self.schedule
        full, rest = divmod(self.geometry.out_width, s.tile_columns)
        row = tile_start(tile_row, s.tile_rows, self.geometry.out_height)

        def emit(column: Any, columns: int) -> None:
            pixels = tuple(product(range(s.tile_rows), range(columns)))
            emit_tile(replace(place, row=row, column=column, pixels=pixels))

        if full:
            with T.serial(full) as index:
                emit(index * s.tile_columns, s.tile_columns)
        if rest:
            emit(full * s.tile_columns, rest)

    def _emit_sums(
        self, operands: _Operands, tile: _Tile, first_chunk: Any, chunks: int
    ) -> list[tuple[Any, ...]]:
        """Emit the sums of some chunks of one tile; return each pixel's and vector's int32 vectors.

        Args:
            operands: Buffers.
            tile: Which pixels and channels.
            first_chunk: The first of the chunks, may be symbolic.
            chunks: How many.
        """
        g, f, s = self.geometry, self.family, self.schedule
        count = len(tile.pixels) * len(self.vectors)
        steps = _Steps(g, f, s, operands, tile)
        outer_runs = s.outer_runs(g)
        if f.depth == 0 or (s.chunk_iterations and chunks * outer_runs == 1):
            (sums,) = _accumulators(count, (f.accumulator,))
            with T.grid(outer_runs, chunks * s.chunk_iterations) as (outer, index):
                steps.emit_added(outer, first_chunk * s.chunk_iterations + index, sums)
            totals = [_value(total) for total in sums]
            return [f.finish(f.fold(total) if f.depth else (total,)) for total in totals]
        carried = list(zip(*_accumulators(count, f.carried), strict=True))
        with T.grid(outer_runs, chunks) as (outer, index):
            chunk = first_chunk + index
            if s.chunk_iterations:
                (sums,) = _accumulators(count, (f.accumulator,))
                with T.serial(s.chunk_iterations) as inner:
                    steps.emit_added(outer, chunk * s.chunk_iterations + inner, sums)
                for total, wide in zip(sums, carried, strict=True):
                    _fold(f, _value(total), wide)
            else:
                steps.emit_terms(outer, chunk, carried)
        return [f.finish(tuple(_value(part) for part in wide)) for wide in carried]

    def _emit_outputs(
        self,
        sums: Sequence[Any],
        scaling: Scaling,
        output: Any,
        tile: _Tile,
    ) -> None:
        """Emit the epilogue of one tile."""
        g, s = self.geometry, self.schedule
        block_channels = self.family.channels * len(self.vectors)
        channel = tile_start(tile.block, block_channels, g.group_out_channels)
        constant = (tile.group * s.blocks(g, self.family) + tile.block) * block_channels
        for index, (row, column) in enumerate(tile.pixels):
            count = len(self.vectors) * self.family.wide_vectors
            vectors = sums[index * count : (index + 1) * count]
            place = g.out_place(tile.image, tile.row + row, tile.column + column)
            first = tile.group * g.group_out_channels + channel
            narrow = self.narrow_geometry.out_place(
                tile.image, tile.row + row, tile.column + column
            )
            outputs = Outputs(output[0], place + first, output[1], narrow + first)
            real = min(block_channels, g.group_out_channels)
            self.epilogue.emit(vectors, constant, scaling, outputs, real)


class _Steps:
    """Emits the steps of one iteration of one tile's sums."""

    def __init__(
        self,
        geometry: Geometry,
        family: Family,
        schedule: Schedule,
        operands: _Operands,
        tile: _Tile,
    ) -> None:
        g = self.geometry = geometry
        self.family, self.schedule, self.operands, self.tile = family, schedule, operands, tile
        self.vectors = range(schedule.tile_vectors)
        self.origin = (
            operands.start
            + tile.row * (g.stride[0] * g.row_codes)
            + tile.column * (g.stride[1] * g.channels)
            + tile.group * (g.channels // g.groups)
        )
        block = tile.group * schedule.blocks(g, family) + tile.block
        self.first_step = block * schedule.steps(g)

    def emit_added(self, outer: Any, iteration: Any, sums: Sequence[Any]) -> None:
        """Emit every step of an iteration, each added to every accumulator in turn."""
        for step, read in self._inside(outer, iteration):
            codes = [self._code(read, pixel) for pixel in self.tile.pixels]
            for total, (code, vector) in zip(sums, product(codes, self.vectors), strict=True):
                value = self.family.multiply_add(_value(total), code, self._weight(step, vector))
                store(total, 0, value, int(total.shape[0]))

    def emit_terms(self, outer: Any, iteration: Any, carried: Sequence[Sequence[Any]]) -> None:
        """Emit an iteration, as many steps as the depth allows as one expression.

        No narrow sum outlives its accumulator's turn: registers are left for the carried ones.
        """
        f = self.family
        inside = list(self._inside(outer, iteration))
        places = list(product(self.tile.pixels, self.vectors))
        for first in range(0, len(inside), f.depth):
            for wide, (pixel, vector) in zip(carried, places, strict=True):
                total = None
                for step, read in inside[first : first + f.depth]:
                    code, weight = self._code(read, pixel), self._weight(step, vector)
                    total = f.multiply_add(total, code, weight)
                _fold(f, total, wide)

    def _inside(self, outer: Any, iteration: Any) -> list[tuple[Any, Any]]:
        """Return the number of each step of an iteration, and where it reads its codes."""
        g, s = self.geometry, self.schedule
        first = (outer * s.iterations + iteration) * (s.inside_positions * s.inside_runs)
        found = []
        for position in range(s.inside_positions):
            for run in range(s.inside_runs):
                read = g.run_offset(outer * s.inside_runs + run)
                read = read + (iteration * s.inside_positions + position) * self.family.products
                found.append((first + position * s.inside_runs + run, self.origin + read))
        return found

    def _code(self, read: Any, pixel: tuple[int, int]) -> Any:
        g = self.geometry
        offset = pixel[0] * g.stride[0] * g.row_codes + pixel[1] * g.stride[1] * g.channels
        return self.family.read_code(self.operands.codes, read + offset, self.operands.lookup)

    def _weight(self, step: Any, vector: int) -> Any:
        lanes = self.family.weight_lanes
        index = (self.first_step + step) * len(self.vectors) + vector
        return load(self.operands.weights, index * lanes, lanes)


def _fold(family: Family, total: Any, carried: Sequence[Any]) -> None:
    for wide, part in zip(carried, family.fold(total), strict=True):
        store(wide, 0, _value(wide) + part, int(wide.shape[0]))


def _value(buffer: Any) -> Any:
    return load(buffer, 0, int(buffer.shape[0]))


def _accumulators(count: int, types: Sequence[str]) -> list[list[Any]]:
    """Emit `count` zeroed vectors of each type; with constant indices they stay in registers."""
    result = []
    for vector_type in types:
        dtype, lanes = vector_type.split("x")[0], int(vector_type.split("x")[1])
        buffers = [T.alloc_buffer((lanes,), dtype, scope="local") for _ in range(count)]
        for buffer in buffers:
            store(buffer, 0, T.broadcast(getattr(T, dtype)(0), lanes), lanes)
        result.append(buffers)
    return result
