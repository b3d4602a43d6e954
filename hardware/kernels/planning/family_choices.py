"""Family choices: the families of one layer that are worth a measurement.

`choose_family` has a rule, with bounds that were measured on a few machines. Where several families
are exact, the tile search times them on the target instead, and the fastest is kept (see
`hardware.worker.tiles`); the rule's choice comes first, and stays where nothing is clearly faster.

    >>> layer = Geometry(batch=1, height=14, width=14, channels=64, out_channels=64, kernel=(3, 3),
    ...                  padding=(1, 1))
    >>> [family.name for family in family_choices("avx2", 2, 2, layer)]
    ['avx2-winograd-d128', 'avx2-table2', 'avx2-winograd3-d8', 'avx2-d128']
    >>> [family.name for family in family_choices("avx512-vnni", 8, 8, layer)]
    ['avx512-vnni']
"""

from collections.abc import Iterator
from functools import lru_cache
from math import ceil

from hardware.kernels.families.arm_dot import choose_arm_dot
from hardware.kernels.families.arm_packed import choose_arm_dot_packed, choose_neon_packed
from hardware.kernels.families.avx2 import pair_depth
from hardware.kernels.families.avx2_packed import choose_avx2_packed
from hardware.kernels.families.avx2_table import Avx2HalfTable, Avx2Table
from hardware.kernels.families.family import Family
from hardware.kernels.families.neon import choose_neon
from hardware.kernels.families.transformed import (
    WinogradBounds,
    arm_dot_winograd,
    avx2_winograd,
    avx2_word_winograd,
    fits_bytes,
    fits_words,
    largest_product,
    neon_winograd,
    neon_word_winograd,
    smallest_tiles,
    vnni_winograd,
)
from hardware.kernels.families.vnni_packed import packed_vnni
from hardware.kernels.planning.choose_family import (
    DEPTH_CLASSES,
    VNNI,
    WHOLE_BITS,
    avx2_bytes,
    choose_family,
    is_vector_product,
    suits_table,
)
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.transform import TileName
from hardware.target import KernelFamily, Transform

_WORTH_TRYING = WinogradBounds(fewest_tiles=2, most_work=0.9, least_channels=16)
"""Layers beyond these are never faster when transformed."""
_MOST = 5
"""Most families that are measured for one layer."""


@lru_cache(maxsize=4096)
def family_choices(
    kind: KernelFamily,
    weight_bits: int,
    activation_bits: int,
    geometry: Geometry,
    transform: Transform = "words",
) -> tuple[Family, ...]:
    """Return the families that are exact for a bit pair in one layer, the rule's choice first.

    Args:
        kind: See `choose_family`, as are the others.
        weight_bits: Likewise.
        activation_bits: Likewise.
        geometry: Likewise.
        transform: Likewise.
    """
    bits = (weight_bits, activation_bits)
    ruled = choose_family(kind, *bits, geometry, transform)
    found = [ruled, choose_family(kind, *bits, geometry, "none")]
    if kind == "amx":
        found.append(choose_family("avx512-vnni", *bits, geometry, transform))
    if transform != "none":
        found += _transformed(kind, *bits, geometry, transform)
    if kind == "avx2" or kind in VNNI:
        found += _of_x86(kind, *bits, geometry)
    if kind in ("neon", "arm-dot") and is_vector_product(geometry):
        found += _of_arm_vectors(kind, *bits, geometry)
    return tuple(dict.fromkeys(found))[:_MOST]


def _transformed(
    kind: KernelFamily,
    weight_bits: int,
    activation_bits: int,
    geometry: Geometry,
    transform: Transform,
) -> Iterator[Family]:
    """Yield the families whose transformed codes are exact, in bytes and in words."""
    bits, smallest = (weight_bits, activation_bits), smallest_tiles(geometry)
    signed = kind in ("neon", "arm-dot")
    larger: tuple[TileName, ...] = ("3x3", "3x3-split")
    fitting = [
        tiles
        for tiles in larger
        if fits_bytes(*bits, geometry.channels, tiles, "int8" if signed else "uint8")
    ]
    if fits_bytes(*bits, geometry.channels, smallest, "int8" if signed else "uint8"):
        # Of the larger ones, that which has no place twice.
        fitting = [smallest, *fitting[:1]]
    for tiles in fitting:
        if not _WORTH_TRYING.admit(geometry, tiles):
            continue
        if kind in VNNI:
            yield vnni_winograd(VNNI[kind], tiles)
        elif kind == "arm-dot":
            yield arm_dot_winograd(geometry, tiles)
        elif kind == "neon":
            yield neon_winograd(*bits, geometry, tiles)
        elif kind == "avx2" and pair_depth(largest_product(*bits, tiles, "uint8")) > 0:
            yield avx2_winograd(*bits, DEPTH_CLASSES, tiles)
    words = transform == "words" and fits_words(*bits, geometry.channels)
    if words and not fitting and _WORTH_TRYING.admit(geometry):
        if kind == "avx2":
            yield avx2_word_winograd(geometry)
        elif kind == "neon" and geometry.stride == (1, 1):
            yield neon_word_winograd()


def _of_x86(
    kind: KernelFamily, weight_bits: int, activation_bits: int, geometry: Geometry
) -> Iterator[Family]:
    """Yield tables, plain bytes and packed weights, where the rule may have taken another one."""
    bits = (weight_bits, activation_bits)
    pairs = geometry.runs * ceil(geometry.run_codes / 2)
    is_vector = is_vector_product(geometry)
    table = (Avx2HalfTable if is_vector else Avx2Table).choose(*bits, pairs)
    if table is not None and suits_table(geometry, table):
        yield table
    if is_vector and weight_bits < WHOLE_BITS:
        packed = packed_vnni(VNNI[kind], weight_bits) if kind in VNNI else choose_avx2_packed(*bits)
        if packed.fits(ceil(geometry.run_codes / packed.products)):
            yield packed
    plain = VNNI[kind] if kind in VNNI else avx2_bytes(*bits)
    if plain is not None and not is_vector:
        yield plain


def _of_arm_vectors(
    kind: KernelFamily, weight_bits: int, activation_bits: int, geometry: Geometry
) -> Iterator[Family]:
    """Yield weights without a gap, and bytes: a fast memory has no use for either."""
    if kind == "neon":
        if weight_bits < WHOLE_BITS:
            yield choose_neon_packed(weight_bits, activation_bits, geometry)
        yield choose_neon(weight_bits, activation_bits, geometry)
        return
    if weight_bits < WHOLE_BITS:
        packed = choose_arm_dot_packed(weight_bits, activation_bits, geometry)
        if packed.fits(ceil(geometry.run_codes / packed.products)):
            yield packed
    yield choose_arm_dot(activation_bits, geometry)
