"""Families of Winograd kernels: those whose multiplications take transformed codes and weights."""

from dataclasses import replace

from hardware.kernels.families.avx2 import Avx2Bytes, pair_depth
from hardware.kernels.families.family import Family
from hardware.kernels.families.vnni import Vnni
from hardware.kernels.geometry import Geometry
from hardware.kernels.winograd import (
    PLACES,
    TileGrid,
    is_winograd_shape,
    largest_transformed_code,
    largest_transformed_weight,
)

__all__ = ["avx2_winograd", "suits_winograd", "vnni_winograd"]

_INT8_MAX, _UINT8_MAX, _INT32_MAX = 127, 255, 2**31 - 1
_LEAST_CHANNELS = 32
"""Measured: with 16, transforms take as long as products; with 24 the gain depends on the bits."""
_MOST_WORK = 0.7
"""Share of a direct convolution's products up to which transforming pays: tiles that reach over the
image's end add to it."""


def suits_winograd(
    weight_bits: int, activation_bits: int, geometry: Geometry, fewest_tiles: int
) -> bool:
    """Return whether a layer is exact in bytes when transformed, and probably faster.

    Args:
        weight_bits: Weight codes are in +-(2^(weight_bits - 1) - 1).
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
        geometry: The layer's shapes.
        fewest_tiles: With fewer, every weight that comes from memory is used too seldom, and a
            transformed layer has 16 weights for 9.
    """
    if not is_winograd_shape(geometry):
        return False
    g = geometry
    code = largest_transformed_code(activation_bits)
    weight = largest_transformed_weight(weight_bits)
    if code > _UINT8_MAX or weight > _INT8_MAX:
        return False
    # A pixel adds up nine places at most.
    if 9 * g.channels * code * weight > _INT32_MAX:
        return False
    tiles = TileGrid.of(g).tiles
    if min(g.channels, g.out_channels) < _LEAST_CHANNELS or tiles < fewest_tiles:
        return False
    return PLACES * tiles <= _MOST_WORK * 9 * g.out_height * g.out_width


def avx2_winograd(weight_bits: int, activation_bits: int, depths: tuple[int, ...]) -> Family:
    """Return the AVX2 family for transformed codes of these widths.

    Args:
        weight_bits: See `suits_winograd`.
        activation_bits: Likewise.
        depths: Those that get code of their own.
    """
    most = pair_depth(
        largest_transformed_code(activation_bits), largest_transformed_weight(weight_bits)
    )
    depth = max(known for known in depths if known <= most)
    return Avx2Bytes(name=f"avx2-winograd-d{depth}", depth=depth, winograd=True)


def vnni_winograd(vnni: Vnni) -> Family:
    """Return a VNNI family for transformed codes."""
    return replace(vnni, name=f"{vnni.name}-winograd", winograd=True)
