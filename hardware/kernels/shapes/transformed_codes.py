"""Transformed codes: what is added to each place so that all of them fit one type.

A place of the transformed window is a sum of codes with signs: between -n q and p q for the largest
code q, where n and p are the sums of its negative and its positive factors. Words of 16 bits,
signed, hold every place as it is. Bytes hold what an offset moves into their range. With four bits
(q = 15) and tiles of 2x2 outputs:

    place          n  p   codes        unsigned, offset      signed, offset
    (1, 1)         0  4     0 ..  60     0 ..  60   none       0 .. 60   0, and -128 with six bits
    the other 15   2  2   -30 ..  30     2 ..  62   32       -30 .. 30   none

An offset adds a constant to each output: itself times the place's weights, as the place's sum
reaches that output (`offset_sums`), over `scale`. The bias takes it away. So that it is whole for
all weights, unsigned offsets are multiples of `scale`. Those of tiles of 3x3 outputs all have one
remainder instead: there an offset that all places share is itself the transform of a window, c u u'
with u = (0, 0, 0, 1, 3), and adds whole numbers. So 126, the least at the widest places, is lowered
by multiples of 36 at the others; with three bits (q = 7):

    place          n   p   codes         unsigned    offset
    rows 0, 2, 4   18 18   -126 .. 126   0 .. 252    126
    these and 1    12 12    -84 ..  84   6 .. 174     90
    these and 3     6  6    -42 ..  42  12 ..  96     54
    (1, 1)          6 10    -42 ..  70  12 .. 124     54
    1 and 3         4  4    -28 ..  28  26 ..  82     54
    (3, 3)          2  2    -14 ..  14   4 ..  32     18

    >>> [int(value) for value in offsets(TILE_2X2, "uint8", 4)]
    [32]
    >>> code_range(TILE_2X2, "uint8", 4, TILE_2X2.places[0])
    (2, 62)
"""

from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from hardware.kernels.shapes.tile_2x2 import TILE_2X2
from hardware.kernels.shapes.tile_3x3 import TILE_3X3, TILE_3X3_SPLIT
from hardware.kernels.shapes.tile_strided import STRIDED
from hardware.kernels.shapes.transform import TAPS, Place, TileName, TileTransform

TILES: dict[TileName, TileTransform] = {
    "2x2": TILE_2X2,
    "3x3": TILE_3X3,
    "3x3-split": TILE_3X3_SPLIT,
    "strided": STRIDED,
}
"""The transforms by name."""

CodeForm = Literal["uint8", "int8", "int16"]
"""How transformed codes are multiplied."""

_RANGES: dict[CodeForm, tuple[int, int]] = {
    "uint8": (0, 255),
    "int8": (-128, 127),
    "int16": (-32768, 32767),
}
_HALF = 128


def code_span(tiles: TileTransform, place: Place) -> tuple[int, int]:
    """Return the sums of a place's negative and of its positive factors, both without sign."""
    factors = np.outer(tiles.codes[place.row], tiles.codes[place.column])
    return int(-factors.clip(max=0).sum()), int(factors.clip(min=0).sum())


@lru_cache(maxsize=64)
def offset_spans(tiles: TileTransform, form: CodeForm) -> tuple[tuple[int, int], ...]:
    """Return the spans of those places that have an offset, each once."""
    if form == "int16":
        return ()
    spans = sorted({code_span(tiles, place) for place in tiles.places})
    return tuple(span for span in spans if (span[0] > 0) == (form == "uint8"))


def offset_index(tiles: TileTransform, form: CodeForm, place: Place) -> int | None:
    """Return which of `offsets` is added to a place; None where there is none."""
    spans, span = offset_spans(tiles, form), code_span(tiles, place)
    return spans.index(span) if span in spans else None


def offsets(tiles: TileTransform, form: CodeForm, activation_bits: int) -> npt.NDArray[np.int64]:
    """Return what is added to places, one number for each of `offset_spans`.

    Args:
        tiles: The transform.
        form: How transformed codes are multiplied.
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
    """
    largest, spans = 2**activation_bits - 1, offset_spans(tiles, form)
    if form == "int8":
        # Both halves of a byte are needed only where the upper one is not enough.
        return np.array([-_HALF if span[1] * largest >= _HALF else 0 for span in spans], np.int64)
    high = max((negative for negative, _ in spans), default=0) * largest
    # What all offsets have in common beside multiples of `scale`.
    common = high if _shares_offset(tiles) else 0
    return np.array(
        [common + _next(negative * largest - common, tiles.scale) for negative, _ in spans],
        np.int64,
    )


def code_range(
    tiles: TileTransform, form: CodeForm, activation_bits: int, place: Place
) -> tuple[int, int]:
    """Return the smallest and the largest transformed code of a place, with its offset."""
    negative, positive = code_span(tiles, place)
    index, largest = offset_index(tiles, form, place), 2**activation_bits - 1
    added = 0 if index is None else int(offsets(tiles, form, activation_bits)[index])
    return added - negative * largest, added + positive * largest


def fits_codes(tiles: TileTransform, form: CodeForm, activation_bits: int) -> bool:
    """Return whether every transformed code fits its type."""
    lowest, highest = _RANGES[form]
    found = [code_range(tiles, form, activation_bits, place) for place in tiles.places]
    return all(lowest <= low and high <= highest for low, high in found)


def offset_sums(
    weight: npt.NDArray[np.int8], tiles: TileTransform, form: CodeForm, activation_bits: int
) -> npt.NDArray[np.int64]:
    """Return what the offsets add to the outputs: `[outputs^2, out_channels]`, row by row.

    Args:
        weight: int8 `[out_channels, 3, 3, in_channels]`, sums of less than 2^24.
        tiles: The transform.
        form: How transformed codes are multiplied.
        activation_bits: See `offsets`.
    """
    # As floats, which are exact below 2^24 and many times faster to add up than bytes.
    channels = weight.shape[3]
    sums = weight.reshape(-1, channels).astype(np.float32) @ np.ones(channels, np.float32)
    taps = np.moveaxis(sums.astype(np.int64).reshape(weight.shape[:3]), 0, 2)
    places = np.empty((len(taps[0, 0]), len(tiles.places)), np.int64)
    tiles.transform_taps(taps, places)
    values = offsets(tiles, form, activation_bits)
    for number, place in enumerate(tiles.places):
        index = offset_index(tiles, form, place)
        places[:, number] *= 0 if index is None else values[index]
    scaled = _outputs_of(tiles, places)
    assert not (scaled % tiles.scale).any(), "an offset that is no transform of a whole window"
    whole: npt.NDArray[np.int64] = scaled // tiles.scale
    return whole.reshape(tiles.outputs**2, -1)


@lru_cache(maxsize=64)
def _shares_offset(tiles: TileTransform) -> bool:
    """Return whether all places have an offset, and equal ones add whole numbers to outputs."""
    if not all(code_span(tiles, place)[0] for place in tiles.places):
        return False
    taps = np.eye(TAPS, dtype=np.int64).reshape(3, 3, TAPS)
    places = np.empty((TAPS, len(tiles.places)), np.int64)
    tiles.transform_taps(taps, places)
    return not (_outputs_of(tiles, places) % tiles.scale).any()


def _outputs_of(tiles: TileTransform, products: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return what products of the places, `[n, places]`, add up to: `[outputs, outputs, n]`."""
    window = np.zeros((len(products), tiles.window, tiles.window), np.int64)
    for number, place in enumerate(tiles.places):
        window[:, place.row, place.column] += products[:, number]
    back = np.array(tiles.sums)
    found: npt.NDArray[np.int64] = np.einsum("ir,orc,jc->ijo", back, window, back)
    return found


def _next(value: int, step: int) -> int:
    """Return the smallest multiple of `step` that is not below `value`."""
    return -(-value // step) * step
