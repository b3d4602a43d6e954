"""AMX: `tdpbusd` multiplies 16 pixels by 16 channels, 64 codes deep, in one instruction.

Four neighbouring codes meet four weights of each channel, as in `vpdpbusd`, and weights lie in the
same order. What is one vector there is one row of a tile here:

    codes, tile 4          weights, tile 6                          sums, tile 0
    pixel 0   q0 .. q63    codes 0-3     4 weights of channels 0-15    16 sums of pixel 0
    pixel 1   q0 .. q63    codes 4-7     likewise                      16 sums of pixel 1
    ...                    ...                                         ...
    pixel 15  q0 .. q63    codes 60-63   likewise                      16 sums of pixel 15

Codes are unsigned, weights signed, sums have 32 bits: exact for every pair of widths, and all of
them take the same time, as 2 bits and 8 fill one byte each.

Pixels whose codes lie at equal distances make a tile: neighbours in a row of the output, whatever
the stride. A run of codes (see `Geometry`) is cut into equal parts of at most 64:

    >>> [tile_codes(codes) for codes in (27, 64, 96, 192, 200)]
    [28, 64, 48, 64, 52]
"""

from dataclasses import dataclass
from math import ceil

from hardware.kernels.emitting.amx_tiles import ROW_BYTES
from hardware.kernels.families.vnni import AVX512_VNNI, Vnni
from hardware.kernels.shapes.geometry import Geometry

FEWEST_PIXELS = 4
"""Pixels in a row from which tiles are worth a try: with fewer, most of their rows are empty."""
_EVEN_PARTS = 16
"""Most parts of a run that are cut evenly: so few reach at most 63 codes beyond its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Amx(Vnni):
    """`tdpbusd`: its weights lie as those of `vpdpbusd`."""


AMX = Amx(
    name="amx",
    channels=AVX512_VNNI.channels,
    weight_lanes=AVX512_VNNI.weight_lanes,
    accumulator=AVX512_VNNI.accumulator,
    wide_lanes=AVX512_VNNI.wide_lanes,
    registers=AVX512_VNNI.registers,
)


def suits_amx(geometry: Geometry) -> bool:
    """Return whether a row of outputs has enough pixels to make tiles of."""
    return geometry.out_width >= FEWEST_PIXELS


def tile_codes(run_codes: int) -> int:
    """Return the codes in a row of a tile: a multiple of four, 64 or fewer.

    Args:
        run_codes: Codes of one run, of which as many tiles as are needed are made.
    """
    parts = ceil(run_codes / ROW_BYTES)
    if parts > _EVEN_PARTS:
        return ROW_BYTES
    return 4 * ceil(run_codes / (4 * parts))
