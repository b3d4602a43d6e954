"""Families of Winograd kernels: those whose multiplications take transformed codes and weights."""

from dataclasses import dataclass, replace

import numpy as np

from hardware.kernels.families.arm_dot import choose_arm_dot
from hardware.kernels.families.avx2 import Avx2Bytes, Avx2Words, pair_depth
from hardware.kernels.families.family import Family
from hardware.kernels.families.neon import NeonLong, choose_neon_words
from hardware.kernels.families.vnni import Vnni
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.transform import TAPS, TileGrid, TileName, is_winograd_shape
from hardware.kernels.shapes.transformed_codes import TILES, CodeForm, code_range, fits_codes

_INT8_MAX, _INT32_MAX = 127, 2**31 - 1
_LARGE: tuple[TileName, ...] = ("3x3", "3x3-split")
_NAMES = {
    "2x2": "winograd",
    "3x3": "winograd3",
    "3x3-split": "winograd3s",
    "strided": "winograd-strided",
}
"""What transforms are called in a family's name."""
_SIGNED_BITS = 7
"""Width of codes that signed bytes hold as they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WinogradBounds:
    """Which layers are faster when transformed; all of it is measured."""

    fewest_tiles: int
    """With fewer tiles, a weight from memory is used too seldom, and a transformed layer reads 16
    or more of them for 9."""
    most_work: float = 0.7
    """Largest share of a direct convolution's products with which transforming pays. The share is
    16 / 36 or less, with a stride 25 / 36, and more where tiles reach over the image's end."""
    least_channels: int = 32
    """With few channels, transforms take as long as products."""

    def admit(self, geometry: Geometry, tiles: TileName = "") -> bool:
        """Return whether a layer is probably faster when transformed.

        Args:
            geometry: The layer's shapes.
            tiles: The transform; empty: the smallest tiles for the layer's stride.
        """
        tiles = tiles or smallest_tiles(geometry)
        if not is_winograd_shape(geometry, TILES[tiles]):
            return False
        return (
            TileGrid.of(geometry, TILES[tiles]).tiles >= self.fewest_tiles
            and share_of_products(geometry, tiles) <= self.most_work
            and min(geometry.channels, geometry.out_channels) >= self.least_channels
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LargeTiles:
    """Where tiles of 3x3 outputs are faster than those of 2x2; all of it is measured."""

    most_work: float
    """Largest share of the work in tiles of 2x2. Of the products it is 0.69, and more where tiles
    reach over the image's end."""
    transform: float
    """What the longer transforms add to that share in a layer of one channel; with more channels
    they are shared by more products."""
    most_product: int = _INT32_MAX
    """Largest product of a transformed code and weight: short sums must hold a few of them."""

    def admit(self, geometry: Geometry, tiles: TileName) -> bool:
        """Return whether a layer whose products fit is probably faster in these tiles."""
        if not is_winograd_shape(geometry, TILES[tiles]):
            return False
        work = share_of_products(geometry, tiles) / share_of_products(geometry, "2x2")
        channels = min(geometry.channels, geometry.out_channels)
        return work + self.transform / channels <= self.most_work


def smallest_tiles(geometry: Geometry) -> TileName:
    """Return the transform with the smallest tiles for a layer's stride."""
    return "2x2" if geometry.stride == (1, 1) else "strided"


def share_of_products(geometry: Geometry, tiles: TileName) -> float:
    """Return a transformed layer's products over those of the direct one."""
    transform = TILES[tiles]
    count = len(transform.places) * TileGrid.of(geometry, transform).tiles
    return count / (TAPS * geometry.out_height * geometry.out_width)


def fits_bytes(
    weight_bits: int,
    activation_bits: int,
    channels: int,
    tiles: TileName = "2x2",
    form: CodeForm = "uint8",
) -> bool:
    """Return whether transformed codes and weights are bytes, and the sums of products exact.

    Args:
        weight_bits: Weight codes are in +-(2^(weight_bits - 1) - 1).
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
        channels: How many are summed up.
        tiles: The transform.
        form: Whether bytes of codes are signed.
    """
    transform = TILES[tiles]
    weights = [transform.largest_weight(place, weight_bits) for place in transform.places]
    if max(weights) > _INT8_MAX or not fits_codes(transform, form, activation_bits):
        return False
    # What reaches an output at most from each place, and so whatever is added up on the way.
    most = np.zeros((transform.window, transform.window), np.int64)
    for place, weight in zip(transform.places, weights, strict=True):
        code = max(map(abs, code_range(transform, form, activation_bits, place)))
        most[place.row, place.column] += channels * code * weight
    back = np.abs(np.array(transform.sums, np.int64))
    return int((back @ most @ back.T).max()) <= _INT32_MAX


def fits_words(weight_bits: int, activation_bits: int, channels: int) -> bool:
    """Return whether a layer is exact when it is transformed to 16 bits, in the smallest tiles.

    Transformed codes and weights always fit. Four times the outputs must fit 32 bits; no sum of
    some places, as they are added up, is larger (see `tile_2x2`), and with a stride they are at
    most 16 products of a code and a weight for each channel.

    Args:
        weight_bits: See `fits_bytes`.
        activation_bits: Likewise.
        channels: Likewise.
    """
    largest: int = (2**activation_bits - 1) * (2 ** (weight_bits - 1) - 1)
    return 4 * 9 * channels * largest <= _INT32_MAX


def largest_product(weight_bits: int, activation_bits: int, tiles: TileName, form: CodeForm) -> int:
    """Return the largest magnitude of a product of a transformed code and weight."""
    transform = TILES[tiles]
    return max(
        max(map(abs, code_range(transform, form, activation_bits, place)))
        * transform.largest_weight(place, weight_bits)
        for place in transform.places
    )


def choose_tiles(
    weight_bits: int, activation_bits: int, geometry: Geometry, form: CodeForm, bounds: LargeTiles
) -> TileName:
    """Return the largest tiles that are exact in bytes and pay; empty where none are exact.

    Args:
        weight_bits: See `fits_bytes`.
        activation_bits: Likewise.
        geometry: The layer's shapes.
        form: See `fits_bytes`.
        bounds: Where tiles of 3x3 pay.
    """
    bits, smallest = (weight_bits, activation_bits), smallest_tiles(geometry)
    for tiles in _LARGE:
        if (
            bounds.admit(geometry, tiles)
            and fits_bytes(*bits, geometry.channels, tiles, form)
            and largest_product(*bits, tiles, form) <= bounds.most_product
        ):
            return tiles
    return smallest if fits_bytes(*bits, geometry.channels, smallest, form) else ""


def avx2_winograd(
    weight_bits: int, activation_bits: int, depths: tuple[int, ...], tiles: TileName
) -> Family:
    """Return the AVX2 family for transformed codes of these widths.

    Args:
        weight_bits: See `fits_bytes`.
        activation_bits: Likewise.
        depths: Depths that get code of their own.
        tiles: The transform.
    """
    most = pair_depth(largest_product(weight_bits, activation_bits, tiles, "uint8"))
    depth = max(known for known in depths if known <= most)
    return Avx2Bytes(name=f"avx2-{_NAMES[tiles]}-d{depth}", depth=depth, tiles=tiles)


def avx2_word_winograd(geometry: Geometry) -> Family:
    """Return the AVX2 family for transformed codes of 16 bits, in the smallest tiles."""
    tiles = smallest_tiles(geometry)
    return Avx2Words(name=f"avx2-{_NAMES[tiles]}-w8", tiles=tiles)


def vnni_winograd(vnni: Vnni, tiles: TileName) -> Family:
    """Return a VNNI family for transformed codes."""
    return replace(vnni, name=f"{vnni.name}-{_NAMES[tiles]}", tiles=tiles)


def arm_dot_winograd(geometry: Geometry, tiles: TileName) -> Family:
    """Return the `sdot` family for transformed codes of a layer: signed bytes."""
    return replace(
        choose_arm_dot(_SIGNED_BITS, _of_products(geometry)),
        name=f"arm-dot-{_NAMES[tiles]}",
        tiles=tiles,
        signed_bytes=True,
    )


def neon_winograd(
    weight_bits: int, activation_bits: int, geometry: Geometry, tiles: TileName
) -> Family:
    """Return the NEON family for transformed codes of these widths: signed bytes.

    Args:
        weight_bits: See `fits_bytes`.
        activation_bits: Likewise.
        geometry: The layer's shapes.
        tiles: The transform.
    """
    most = largest_product(weight_bits, activation_bits, tiles, "int8")
    family = choose_neon_words(most, _of_products(geometry))
    name = f"neon-{_NAMES[tiles]}-d{family.depth}"
    return replace(family, name=name, tiles=tiles, signed_bytes=True)


def neon_word_winograd() -> Family:
    """Return the NEON family for transformed codes of 16 bits, in tiles of 2x2."""
    return NeonLong(name="neon-winograd-w8", tiles="2x2")


def _of_products(geometry: Geometry) -> Geometry:
    """Return the matrix product of one tile at one place."""
    return TileGrid(rows=1, columns=1).products(geometry, 1)
