"""Choosing the family of a layer: the cheapest that is exact for its bits.

Families of layers with 64 channels on 14x14 pixels, weights and codes of equal widths. A name
begins with the group's (`avx2-d128`); `d` is a depth, `n` and `p` are packed weights, and `w8` is
16-bit operands, which are exact for every pair of widths. `winograd3` has tiles of 3x3 outputs, and
in `winograd3s` one place is split; `strided` is short for `winograd-strided`:

    bits                    2              3             4            5            8
    avx2, 1x1               table2         d128          d128         d32          w8
    avx2, 3x3               winograd-d128  winograd-d16  winograd-d4  winograd-w8  winograd-w8
    neon, 3x3               winograd3-d32  winograd3s-d4 winograd-d4  words-d32    words-d1
    arm-dot, 3x3            winograd3      winograd3s    winograd     plain        plain
    arm-dot, 3x3, stride 2  strided        strided       strided      strided      plain
    avx2, one vector        half-table2    n16           n8           p5-h4        w8-bytes
    neon, other two         table2         bytes-d6      words-d128   words-d32    words-d1
    avx-vnni, 3x3           winograd3      winograd3s    winograd     plain        plain
    avx-vnni, one vector    p2             p4            p4           p5           plain
    amx, 1x1 and 3x3        amx            amx           amx          amx          amx
    arm-dot, one vector     p2             p4            p4           p5           plain
    neon, one vector        table2         p3-d128       p4-d128      p5-d16       words-d1

The 1x1 layers of AVX-VNNI and of `arm-dot` have one family for all widths. With AMX, layers of few
pixels have those of `avx512-vnni`.

    >>> layer = Geometry(batch=1, height=14, width=14, channels=64, out_channels=64)
    >>> [choose_family("avx2", bits, bits, layer).name for bits in (2, 3, 6, 8)]
    ['avx2-table2', 'avx2-d128', 'avx2-d8', 'avx2-w8']
"""

from functools import lru_cache
from math import ceil, inf

from hardware.kernels.families.amx import AMX, suits_amx
from hardware.kernels.families.arm_dot import choose_arm_dot
from hardware.kernels.families.arm_packed import choose_arm_dot_packed, choose_neon_packed
from hardware.kernels.families.avx2 import Avx2Bytes, Avx2WideBytes, Avx2Words, byte_depth
from hardware.kernels.families.avx2_nibbles import choose_avx2_nibbles
from hardware.kernels.families.avx2_packed import choose_avx2_packed
from hardware.kernels.families.avx2_table import Avx2HalfTable, Avx2Table
from hardware.kernels.families.family import Family
from hardware.kernels.families.generic import Generic
from hardware.kernels.families.neon import choose_neon
from hardware.kernels.families.neon_table import NeonTable
from hardware.kernels.families.transformed import (
    LargeTiles,
    WinogradBounds,
    arm_dot_winograd,
    avx2_winograd,
    avx2_word_winograd,
    choose_tiles,
    fits_words,
    largest_product,
    neon_winograd,
    neon_word_winograd,
    vnni_winograd,
)
from hardware.kernels.families.vnni import AVX512_VNNI, AVX_VNNI, Vnni
from hardware.kernels.families.vnni_packed import packed_vnni
from hardware.kernels.products.depthwise import DepthwiseFamily, GenericDepthwise
from hardware.kernels.products.depthwise_avx2 import choose_avx2_depthwise
from hardware.kernels.products.depthwise_neon import choose_neon_depthwise
from hardware.kernels.products.depthwise_vnni import choose_vnni_depthwise
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.transform import TileName
from hardware.target import KernelFamily, Transform

_NIBBLE_BITS = (3, 4)
"""Bits of weights that are read as halves of bytes: 3 bits without a gap take longer, measured on
x86, and by count on Arm with dot product."""
WHOLE_BITS = 8
"""Bits of a weight that has a byte of its own."""
_HALF_BITS = 4
"""Bits that such a weight takes."""

DEPTH_CLASSES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Depths that get code of their own; a depth in between takes the class below it."""

_VNNI_BOUNDS = WinogradBounds(fewest_tiles=9)
_LARGE_TILES = LargeTiles(most_work=0.96, transform=8)
_AVX2_LARGE_TILES = LargeTiles(most_work=0.98, transform=16, most_product=32767 // 8)
"""With sums of 16 bits, only where these hold four steps of two products."""
_ARM_BOUNDS = WinogradBounds(fewest_tiles=4)
"""Of what a model says of these cores; see docs/kernels.md."""
_AVX2_BOUNDS = WinogradBounds(fewest_tiles=4)
_NEON_WORD_BOUNDS = WinogradBounds(fewest_tiles=16, most_work=0.46, least_channels=128)
"""Of what a model says, likewise: with words, `smlal` multiplies half as many codes at a time."""
_STRIDED_BOUNDS = WinogradBounds(fewest_tiles=9)
"""Further bounds with a stride, where transforming saves 11 products of 36."""
_BESIDE_TABLE = WinogradBounds(fewest_tiles=4, most_work=0.5)
"""Bounds where a table kernel is the other choice."""
_WORD_BOUNDS = (
    (1, WinogradBounds(fewest_tiles=4, most_work=0.75, least_channels=16)),
    (2, WinogradBounds(fewest_tiles=4, least_channels=16)),
    (3, WinogradBounds(fewest_tiles=4, most_work=0.57, least_channels=16)),
    (16, WinogradBounds(fewest_tiles=4, most_work=0.5, least_channels=16)),
    (inf, WinogradBounds(fewest_tiles=4, most_work=0.5)),
)
"""Bounds for transformed codes of 16 bits. Each is for layers whose sums of bytes would be less
deep than its number: the deeper these sums are, the faster the direct kernel is."""

VNNI: dict[str, Vnni] = {
    "amx": AVX512_VNNI,
    "avx512-vnni": AVX512_VNNI,
    "avx-vnni": AVX_VNNI,
}
"""The family of dot products in each group that has one."""


@lru_cache(maxsize=4096)
def choose_family(
    kind: KernelFamily,
    weight_bits: int,
    activation_bits: int,
    geometry: Geometry,
    transform: Transform = "words",
) -> Family:
    """Return the cheapest family that is exact for a bit pair in one layer.

    Args:
        kind: Which group of kernels.
        weight_bits: Weight codes are in +-(2^(weight_bits - 1) - 1).
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
        geometry: The layer's shapes.
        transform: Widest codes that a layer may be transformed to.
    """
    if kind == "generic":
        return Generic()
    if kind == "amx" and suits_amx(geometry):
        return AMX
    if kind in VNNI:
        vnni = VNNI[kind]
        tiles: TileName = ""
        if transform != "none":
            bits = (weight_bits, activation_bits)
            tiles = choose_tiles(*bits, geometry, "uint8", _LARGE_TILES)
        if tiles and _admit(_VNNI_BOUNDS, geometry):
            return vnni_winograd(vnni, tiles)
        if weight_bits < WHOLE_BITS and is_vector_product(geometry):
            small = packed_vnni(vnni, _stored_bits(weight_bits))
            return small if small.fits(ceil(geometry.run_codes / small.products)) else vnni
        return vnni
    pairs = geometry.runs * ceil(geometry.run_codes / 2)
    if kind in ("neon", "arm-dot"):
        return _choose_arm(kind, weight_bits, activation_bits, geometry, pairs, transform)
    return _choose_avx2(weight_bits, activation_bits, geometry, pairs, transform)


def _choose_arm(
    kind: KernelFamily,
    weight_bits: int,
    activation_bits: int,
    geometry: Geometry,
    pairs: int,
    transform: Transform,
) -> Family:
    bits = (weight_bits, activation_bits)
    looked_up = NeonTable.choose(*bits, pairs) if kind == "neon" else None
    if looked_up is not None and not suits_table(geometry, looked_up):
        looked_up = None
    # With a stride, transforming saves less than a table does.
    if transform != "none" and (looked_up is None or geometry.stride == (1, 1)):
        transformed = _choose_arm_winograd(kind, *bits, geometry, transform)
        if transformed is not None:
            return transformed
    if kind == "neon":
        if looked_up is None and weight_bits < WHOLE_BITS and is_vector_product(geometry):
            return choose_neon_packed(*bits, geometry)
        return looked_up or choose_neon(*bits, geometry)
    if weight_bits < WHOLE_BITS and is_vector_product(geometry):
        packed = choose_arm_dot_packed(_stored_bits(weight_bits), activation_bits, geometry)
        if packed.fits(ceil(geometry.run_codes / packed.products)):
            return packed
    return choose_arm_dot(activation_bits, geometry)


def _choose_arm_winograd(
    kind: KernelFamily,
    weight_bits: int,
    activation_bits: int,
    geometry: Geometry,
    transform: Transform,
) -> Family | None:
    """Return the Winograd family of a layer on Arm, None where another one is faster."""
    bits = (weight_bits, activation_bits)
    tiles = choose_tiles(*bits, geometry, "int8", _LARGE_TILES)
    if not tiles:
        is_plain = kind == "neon" and transform == "words" and geometry.stride == (1, 1)
        pays = is_plain and _NEON_WORD_BOUNDS.admit(geometry)
        return neon_word_winograd() if pays and fits_words(*bits, geometry.channels) else None
    if not _admit(_ARM_BOUNDS, geometry):
        return None
    if kind == "arm-dot":
        return arm_dot_winograd(geometry, tiles)
    return neon_winograd(*bits, geometry, tiles)


def _choose_avx2(
    weight_bits: int, activation_bits: int, geometry: Geometry, pairs: int, transform: Transform
) -> Family:
    if is_vector_product(geometry):
        return _choose_avx2_vector(weight_bits, activation_bits, geometry, pairs)
    table = Avx2Table.choose(weight_bits, activation_bits, pairs)
    if table is not None and not suits_table(geometry, table):
        table = None
    transformed = None
    if transform != "none":
        bounds = _AVX2_BOUNDS if table is None else _BESIDE_TABLE
        transformed = _choose_avx2_winograd(
            weight_bits, activation_bits, geometry, bounds, transform
        )
    if transformed is not None:
        return transformed
    if table is not None:
        return table
    return avx2_bytes(weight_bits, activation_bits) or Avx2Words()


def _choose_avx2_vector(
    weight_bits: int, activation_bits: int, geometry: Geometry, pairs: int
) -> Family:
    """Return the family of a matrix product of one vector, which waits for its weights."""
    bits = (weight_bits, activation_bits)
    table = Avx2HalfTable.choose(*bits, pairs)
    if table is not None and suits_table(geometry, table):
        return table
    if weight_bits in _NIBBLE_BITS:
        steps = ceil(geometry.run_codes / 4)
        nibbles = choose_avx2_nibbles(activation_bits, DEPTH_CLASSES, steps)
        if nibbles is not None and geometry.out_channels >= nibbles.channels:
            return nibbles
    if weight_bits < WHOLE_BITS:
        packed = choose_avx2_packed(*bits)
        if packed.fits(ceil(geometry.run_codes / packed.products)):
            return packed
    return avx2_bytes(*bits) or Avx2WideBytes()


def avx2_bytes(weight_bits: int, activation_bits: int) -> Avx2Bytes | None:
    """Return the family on bytes, None where 16 bits do not hold one step."""
    held = byte_depth(weight_bits, activation_bits)
    depth = max((known for known in DEPTH_CLASSES if known <= held), default=0)
    return Avx2Bytes(name=f"avx2-d{depth}", depth=depth) if depth else None


def _choose_avx2_winograd(
    weight_bits: int,
    activation_bits: int,
    geometry: Geometry,
    byte_bounds: WinogradBounds,
    transform: Transform,
) -> Family | None:
    """Return the Winograd family of a layer, None where another one is faster."""
    bits = (weight_bits, activation_bits)
    depth = byte_depth(*bits)
    if tiles := choose_tiles(*bits, geometry, "uint8", _AVX2_LARGE_TILES):
        if not _admit(byte_bounds, geometry):
            return None
        short = largest_product(*bits, tiles, "uint8") > _AVX2_LARGE_TILES.most_product
        return None if short and tiles == "strided" else avx2_winograd(*bits, DEPTH_CLASSES, tiles)
    if transform != "words" or not fits_words(*bits, geometry.channels):
        return None
    if geometry.stride != (1, 1) and depth:
        return None
    word_bounds = next(bounds for below, bounds in _WORD_BOUNDS if depth < below)
    return avx2_word_winograd(geometry) if _admit(word_bounds, geometry) else None


def _admit(bounds: WinogradBounds, geometry: Geometry) -> bool:
    """Return whether a layer of any stride is probably faster when transformed."""
    is_plain = geometry.stride == (1, 1)
    return bounds.admit(geometry) and (is_plain or _STRIDED_BOUNDS.admit(geometry))


def choose_depthwise(
    kind: KernelFamily, weight_bits: int, activation_bits: int, taps: int, channels: int
) -> DepthwiseFamily:
    """Return the cheapest family that is exact for a bit pair in a depthwise layer.

    Args:
        kind: Which group of kernels.
        weight_bits: Weight codes are in +-(2^(weight_bits - 1) - 1).
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
        taps: Products of one sum.
        channels: Channels of the layer.
    """
    found: DepthwiseFamily | None = None
    if kind in ("amx", "avx512-vnni"):
        found = choose_vnni_depthwise(channels)
    elif kind in ("avx2", "avx-vnni"):
        found = choose_avx2_depthwise(weight_bits, activation_bits, taps, channels)
    elif kind in ("neon", "arm-dot"):
        found = choose_neon_depthwise(weight_bits, activation_bits, taps, channels)
    return found or GenericDepthwise(lanes=min(8, channels))


def is_vector_product(geometry: Geometry) -> bool:
    """Return whether every weight is used once: a matrix product of one vector."""
    pixels = geometry.batch * geometry.out_height * geometry.out_width
    return pixels == 1 and geometry.runs == geometry.groups == 1


def _stored_bits(weight_bits: int) -> int:
    """Return the bits that a packed weight takes in memory."""
    return _HALF_BITS if weight_bits in _NIBBLE_BITS else weight_bits


def suits_table(geometry: Geometry, family: Family) -> bool:
    """Return whether pairs of codes are the same for every pixel, and fill the family's vectors.

    A vector that is half empty costs more than a table saves (measured).
    """
    group_channels = geometry.channels // geometry.groups
    return group_channels % 2 == 0 and geometry.group_out_channels >= family.channels
