"""Copying an image into a scratch with its border around it."""

from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emit import store
from hardware.kernels.geometry import Geometry

__all__ = ["emit_padded_copy"]


def emit_padded_copy(codes: Any, scratch: Any, border: Any, geometry: Geometry, image: Any) -> None:
    """Emit the copy of one image; the border and what follows the last row get the border's code.

    Args:
        codes: Flat u8 buffer of all images, channels-last, without borders.
        scratch: Flat buffer, u8 or int16, of one image with its border and slack behind it.
        border: Buffer `[1]`, the code of padding: the input's zero point.
        geometry: The layer's shapes.
        image: Which image.
    """
    g = geometry
    dtype = str(scratch.dtype)
    top, left, row = g.padding[0], g.padding[1] * g.channels, g.width * g.channels
    slack = int(scratch.shape[0]) - g.image_codes

    def fill(start: Any, count: int) -> None:
        if count:
            with T.serial(count) as i:
                store(scratch, start + i, T.Cast(dtype, border[0]), 1)

    fill(0, top * g.row_codes)
    fill((top + g.height) * g.row_codes, top * g.row_codes + slack)
    with T.serial(g.height) as y:
        start = (top + y) * g.row_codes
        fill(start, left)
        fill(start + left + row, left)
        with T.serial(row) as i:
            value = codes[(image * g.height + y) * row + i]
            store(scratch, start + left + i, T.Cast(dtype, value), 1)
