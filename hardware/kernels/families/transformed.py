"""Families of Winograd kernels: those whose multiplications take transformed codes and weights."""

from dataclasses import dataclass, replace

from hardware.kernels.families.avx2 import Avx2Bytes, Avx2Words, pair_depth
from hardware.kernels.families.family import Family
from hardware.kernels.families.vnni import Vnni
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.transform import (
    PLACES,
    TileGrid,
    is_winograd_shape,
    largest_transformed_code,
    largest_transformed_weight,
)

_INT8_MAX, _UINT8_MAX, _INT32_MAX = 127, 255, 2**31 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class WinogradBounds:
    """Which layers are faster when transformed; all of it is measured."""

    fewest_tiles: int
    """With fewer tiles, a weight from memory is used too seldom, and a transformed layer reads 16
    of them for 9."""
    most_work: float = 0.7
    """Largest share of a direct convolution's products with which transforming pays. The share is
    16 / 36, and more where tiles reach over the image's end."""
    least_channels: int = 32
    """With few channels, transforms take as long as products."""

    def admit(self, geometry: Geometry) -> bool:
        """Return whether a layer is probably faster when transformed."""
        if not is_winograd_shape(geometry):
            return False
        tiles = TileGrid.of(geometry).tiles
        work = PLACES * tiles / (9 * geometry.out_height * geometry.out_width)
        return (
            tiles >= self.fewest_tiles
            and work <= self.most_work
            and min(geometry.channels, geometry.out_channels) >= self.least_channels
        )


def fits_bytes(weight_bits: int, activation_bits: int, channels: int) -> bool:
    """Return whether transformed codes and weights are bytes, and the sums of products exact.

    Args:
        weight_bits: Weight codes are in +-(2^(weight_bits - 1) - 1).
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
        channels: How many are summed up.
    """
    code = largest_transformed_code(activation_bits)
    weight = largest_transformed_weight(weight_bits)
    if code > _UINT8_MAX or weight > _INT8_MAX:
        return False
    # A pixel adds up nine places at most.
    return 9 * channels * code * weight <= _INT32_MAX


def fits_words(weight_bits: int, activation_bits: int, channels: int) -> bool:
    """Return whether a layer is exact when its codes and weights are transformed to 16 bits.

    Transformed codes and weights always fit. Four times the outputs must fit 32 bits; no sum of
    some places, as they are added up, is larger (see `SUMS`).

    Args:
        weight_bits: See `fits_bytes`.
        activation_bits: Likewise.
        channels: Likewise.
    """
    largest: int = (2**activation_bits - 1) * (2 ** (weight_bits - 1) - 1)
    return 4 * 9 * channels * largest <= _INT32_MAX


def avx2_winograd(weight_bits: int, activation_bits: int, depths: tuple[int, ...]) -> Family:
    """Return the AVX2 family for transformed codes of these widths.

    Args:
        weight_bits: See `fits_bytes`.
        activation_bits: Likewise.
        depths: Depths that get code of their own.
    """
    most = pair_depth(
        largest_transformed_code(activation_bits), largest_transformed_weight(weight_bits)
    )
    depth = max(known for known in depths if known <= most)
    return Avx2Bytes(name=f"avx2-winograd-d{depth}", depth=depth, winograd=True)


def avx2_word_winograd() -> Family:
    """Return the AVX2 family for transformed codes of 16 bits."""
    return Avx2Words(name="avx2-winograd-w8", winograd=True)


def vnni_winograd(vnni: Vnni) -> Family:
    """Return a VNNI family for transformed codes."""
    return replace(vnni, name=f"{vnni.name}-winograd", winograd=True)
