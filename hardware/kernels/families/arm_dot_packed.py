"""Arm dot product on packed weights: two of four bits in a byte.

A matrix product of one vector uses every weight once, so that it takes as long as reading them.
Half of the bytes are read here. As with `VnniPacked`, a weight is moved to the top of its byte,
where it is 16 times itself, and the whole sum is divided by that at its end.

A step of 32 codes has four registers of weights. Lane c of register g holds, for output channel c:

    low halves    the weights of codes 4 g .. 4 g + 3            `shl` by 4, then `sdot`
    high halves   those of codes 16 + 4 g .. 16 + 4 g + 3        `and` with 0xF0, then `sdot`

Codes of 8 bits less 128 are within -128 and 127, and a weight within 16 * 7: both are signed bytes.

    >>> layer = Geometry(batch=1, height=1, width=1, channels=8, out_channels=4)
    >>> rows = np.zeros((4, 8), np.int8)  # 4 channels, 8 codes
    >>> rows[0] = (-1, 2, 3, 4, 5, -6, 7, -7)
    >>> [f"{byte:08b}" for byte in choose_arm_dot_packed(4, layer).weight_steps(rows)[0, :4]]
    ['01011111', '10100010', '01110011', '10010100']
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import vector_type
from hardware.kernels.emitting.vectors import parts
from hardware.kernels.families.arm_dot import ArmDot
from hardware.kernels.families.family import WeightDtype
from hardware.kernels.shapes.geometry import Geometry

_CHANNELS = 4
_GROUP = 4
"""Codes of one lane of `sdot`."""
_BITS = 4
_LARGEST_PRODUCT = 128 * 7 * (1 << _BITS)
"""Largest magnitude of a product of a code and a weight at the top of its byte."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmDotPacked(ArmDot):
    """`sdot` on weights that are taken out of their bytes."""

    products: int
    """8, 16 or 32: half of them meet the low halves of the bytes."""
    name: str = "arm-dot-p4"
    weight_dtype: WeightDtype = "uint8"

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of all groups' products, times 16."""
        total = T.broadcast(T.int32(0), _CHANNELS) if total is None else total
        groups = self.products // (2 * _GROUP)
        words = T.Bind(T.reinterpret(code, dtype=vector_type("int32", 2 * groups)))
        # A shuffle may not have more lanes than its vectors together.
        sources = [words] * max(1, _CHANNELS // (2 * groups))
        for group, both in enumerate(parts(T.Bind(weight), groups)):
            both = T.Bind(both)
            low = T.shift_left(both, T.broadcast(T.uint8(_BITS), 16))
            high = T.bitwise_and(both, T.broadcast(T.uint8(0xF0), 16))
            for which, weights in ((group, low), (groups + group, high)):
                spread = tirx.Shuffle(sources, [which] * _CHANNELS)
                total = T.call_llvm_pure_intrin(
                    T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.sdot"),
                    total,
                    T.reinterpret(weights, dtype="int8x16"),
                    T.reinterpret(spread, dtype="int8x16"),
                    dtype="int32x4",
                )
        return total

    def finish(self, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the sums themselves."""
        (total,) = carried
        return (T.shift_right(total, T.broadcast(T.int32(_BITS), _CHANNELS)),)

    def weight_steps(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return the weights of the first half of the codes at the bottom of their bytes."""
        *outer, channels, codes = rows.shape
        steps = codes // self.products
        halves = rows.view(np.uint8).reshape(*outer, channels, steps, 2, -1, _GROUP)
        low, high = (halves[..., half, :, :] & 0x0F for half in range(2))
        packed = np.moveaxis(low | high << _BITS, -4, -2)
        return packed.reshape(*outer, steps, self.weight_lanes)

    def fits(self, steps: int) -> bool:
        """Return whether 32 bits hold the sum of so many steps, times 16."""
        return steps * self.products * _LARGEST_PRODUCT <= np.iinfo(np.int32).max


def choose_arm_dot_packed(activation_bits: int, geometry: Geometry) -> ArmDotPacked:
    """Return the family with the most codes in a step that waste no two groups of four.

    Args:
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
        geometry: The layer's shapes.
    """
    pairs = -(-geometry.run_codes // (2 * _GROUP))
    products = next(n for n in (32, 16, 8) if pairs % (n // (2 * _GROUP)) == 0)
    return ArmDotPacked(
        products=products,
        weight_lanes=_CHANNELS * products // 2,
        code_dtype="int8" if activation_bits == 8 else "uint8",
    )
