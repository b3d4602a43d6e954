"""Copying an image into a scratch, in the form in which a kernel reads its codes.

A copy is made where a kernel reads something else than plain bytes, or where windows reach over a
border that the tensor does not have. An image of 2x3 pixels with a border of one pixel; a number
says which line below writes the pixel, row by row as they lie in memory:

    1  1  1  1  1        1  copy.fill(0, ...)             top rows, and the first left border
    1  2  2  2  3        2  copy.move(source, ...)        a row of the image, in a loop over rows
    3  2  2  2  3        3  copy.fill(start + row, ...)   its right border, and the next left one
    3  4  4  4  4  4 ..  4  copy.fill(end, ...)           bottom rows, and what lies behind them

How a code q is stored depends on `Family.image_dtype`:

    uint8    q            as it is
    int8     q - 128      for instructions whose operands are signed
    int16    q            for instructions on 16-bit operands
    pairs    one byte for two codes q0 and q1, the number of a table (see `TableFamily`)
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import load, store, tile_count, tile_start
from hardware.kernels.families.family import CodeDtype, Family
from hardware.kernels.families.table import TableFamily
from hardware.kernels.shapes.geometry import Geometry

SLACK_BYTES = 256
"""Memory that follows every tensor: a kernel's last step may read that far beyond its tensor,
against weights of zero."""
_VECTOR = 32


def needs_copy(geometry: Geometry, family: Family, overread_codes: int = 0) -> bool:
    """Return whether a kernel of this family reads a copy of the image.

    Args:
        geometry: The layer's shapes.
        family: Gives the form of the codes.
        overread_codes: Codes that the last step reads beyond the image.
    """
    return geometry.lacks_border or family.image_dtype != "uint8" or overread_codes > SLACK_BYTES


@contextmanager
def emit_images(
    buffers: Mapping[str, Any], geometry: Geometry, family: Family, overread_codes: int = 0
) -> Iterator[tuple[Any, Any, Any]]:
    """Emit the loop over images, each of which is copied first where the kernel needs it.

    Args:
        buffers: Among them `codes`, flat, of all images, channels-last, with the tensor's border;
            and `border` `[1]`, the code of padding: the input's zero point.
        geometry: The layer's shapes.
        family: Gives the form of the codes.
        overread_codes: Codes that the last step reads beyond the image.

    Yields:
        The image's number, the buffer to read its codes from, and where the first window begins.
    """
    codes, scratch = buffers["codes"], None
    if needs_copy(geometry, family, overread_codes):
        scratch = _scratch_buffer(geometry, family, overread_codes)
    with T.serial(geometry.batch) as image:
        if scratch is None:
            yield image, codes, geometry.first_window + image * geometry.image_codes
        else:
            _emit_copy(_Copy(codes, scratch, buffers["border"], family), geometry, image)
            yield image, scratch, geometry.first_window


def _scratch_buffer(geometry: Geometry, family: Family, overread_codes: int) -> Any:
    """Allocate the scratch of one image, with its border and what the last step reads beyond it."""
    # One more vector than that: full vectors are stored, the last one's surplus goes there.
    codes = geometry.image_codes + overread_codes + 2 * _VECTOR
    if family.image_dtype == "pairs":
        return T.alloc_buffer((codes // 2,), "uint8")
    return T.alloc_buffer((codes,), family.image_dtype)


def _emit_copy(copy: "_Copy", geometry: Geometry, image: Any) -> None:
    """Emit the copy of one image; what follows the last row gets the border's code."""
    g = geometry
    per_byte = 2 if copy.family.image_dtype == "pairs" else 1
    slack = int(copy.scratch.shape[0]) * per_byte - g.image_codes
    if not g.lacks_border:
        copy.move(image * g.image_codes, 0, g.image_codes)
        copy.fill(g.image_codes, slack)
        return
    (rows, columns), (in_rows, in_columns) = g.border, g.in_border
    in_row = (g.width + 2 * in_columns) * g.channels
    left, row = columns * g.channels, g.width * g.channels
    copy.fill(0, rows * g.row_codes + left)
    with T.serial(g.height) as y:
        start = (rows + y) * g.row_codes + left
        source = (image * (g.height + 2 * in_rows) + in_rows + y) * in_row
        copy.move(source + in_columns * g.channels, start, row)
        # The right border, and the next row's left one.
        copy.fill(start + row, 2 * left)
    end = (rows + g.height) * g.row_codes + left
    copy.fill(end, g.image_codes - end + slack)


class _Copy:
    """Moves and fills runs of codes; all lengths and places are even where codes go in pairs."""

    def __init__(self, codes: Any, scratch: Any, border: Any, family: Family) -> None:
        self.codes, self.scratch, self.border, self.family = codes, scratch, border, family

    def fill(self, start: Any, count: int) -> None:
        """Emit `count` codes of the border."""
        kind, code = self.family.image_dtype, self.border[0]
        if count <= 0:
            return
        if kind == "pairs":
            start, count, code = start // 2, count // 2, code * self._pair(0) + code * self._pair(1)
        value = _convert(code, kind, 1)
        lanes = _VECTOR if count >= _VECTOR else 1
        with T.serial(tile_count(count, lanes)) as index:
            spread = T.broadcast(value, lanes) if lanes > 1 else value
            store(self.scratch, start + tile_start(index, lanes, count), spread, lanes)

    def move(self, source: Any, start: Any, count: int) -> None:
        """Emit the copy of `count` codes."""
        kind = self.family.image_dtype
        if kind == "pairs":
            self._move_pairs(source, start, count)
            return
        lanes = _VECTOR if count >= _VECTOR else 1
        with T.serial(tile_count(count, lanes)) as index:
            place = tile_start(index, lanes, count)
            codes = load(self.codes, source + place, lanes)
            store(self.scratch, start + place, _convert(codes, kind, lanes), lanes)

    def _move_pairs(self, source: Any, start: Any, count: int) -> None:
        lanes = _VECTOR if count >= 2 * _VECTOR else 1
        with T.serial(tile_count(count // 2, lanes)) as index:
            place = tile_start(index, lanes, count // 2)
            if lanes == 1:
                first = self.codes[source + 2 * place] * self._pair(0)
                pair = first + self.codes[source + 2 * place + 1] * self._pair(1)
            else:
                pair = self._pair_vector(source + 2 * place)
            store(self.scratch, start // 2 + place, pair, lanes)

    def _pair_vector(self, source: Any) -> Any:
        """Return the bytes of 32 pairs."""
        halves = (load(self.codes, source + start, _VECTOR) for start in (0, _VECTOR))
        return self._table().pair_bytes(*halves)

    def _pair(self, which: int) -> Any:
        return T.uint8(self._table().pair_factors[which])

    def _table(self) -> TableFamily:
        assert isinstance(self.family, TableFamily)
        return self.family


def _convert(codes: Any, kind: CodeDtype, lanes: int) -> Any:
    if kind in ("uint8", "pairs"):
        return codes
    suffix = f"x{lanes}" if lanes > 1 else ""
    wide = T.Cast(f"int16{suffix}", codes)
    if kind == "int16":
        return wide
    shift = T.broadcast(T.int16(128), lanes) if lanes > 1 else T.int16(128)
    return T.Cast(f"int8{suffix}", wide - shift)
