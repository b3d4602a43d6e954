"""Arm dot product: `sdot` multiplies four codes by four weights for four channels in 32 bits.

Its operands are signed: codes of 8 bits are taken less 128, narrower ones as they are.

A step of 16 codes loads them once and issues four `sdot`, one for each group of four codes. Every
32-bit lane of a group's operand holds the same four codes:

    lane            0             1             2             3           output channels
    group 0   codes q0  .. q3     q0  .. q3     q0  .. q3     q0  .. q3
              w[0][0..3]    w[1][0..3]    w[2][0..3]    w[3][0..3]
    ...
    group 3   codes q12 .. q15    q12 .. q15    q12 .. q15    q12 .. q15
              w[0][12..15]  w[1][12..15]  w[2][12..15]  w[3][12..15]

Weights are packed in this order, group by group.

    >>> family = choose_arm_dot(4, Geometry(batch=1, height=1, width=1, channels=8, out_channels=4))
    >>> family.weight_steps(np.arange(32, dtype=np.int8).reshape(4, 8))[0, :8]  # w[c][i] is 8 c + i
    array([ 0,  1,  2,  3,  8,  9, 10, 11], dtype=int8)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import vector_type
from hardware.kernels.emitting.vectors import parts
from hardware.kernels.families.neon import FourChannels
from hardware.kernels.shapes.geometry import Geometry

_REGISTERS = 32
_CODE_REGISTERS = 8
"""Codes that LLVM loads ahead of their use; with fewer, it spills."""
_UNROLLED_SUMS = 14
_CHANNELS = 4
_GROUP = 4
"""Codes of one lane of `sdot`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmDot(FourChannels):
    """`sdot` by element: the codes of one pixel are loaded once for all channels."""

    products: int
    """4, 8 or 16: more share one load of codes, and may waste more where a run of codes ends."""
    name: str = "arm-dot"
    accumulator: str = "int32x4"
    waits: bool = True

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of all groups' products."""
        total = T.broadcast(T.int32(0), _CHANNELS) if total is None else total
        groups = self.products // _GROUP
        # Bound: TVM walks every copy of an expression, at each of its passes.
        words = T.Bind(T.reinterpret(code, dtype=vector_type("int32", groups)))
        # A shuffle may not have more lanes than its vectors together.
        sources = [words] * (_CHANNELS // groups)
        for group, weights in enumerate(parts(T.Bind(weight), groups)):
            spread = tirx.Shuffle(sources, [group] * _CHANNELS)
            total = T.call_llvm_pure_intrin(
                T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.sdot"),
                total,
                weights,
                T.reinterpret(spread, dtype="int8x16"),
                dtype="int32x4",
            )
        return total

    def sums_in_registers(self, vectors: int) -> int:
        """Return how many accumulators leave room for the weights and a few codes."""
        return max(1, _REGISTERS - _CODE_REGISTERS - vectors * self.products // _GROUP)

    def most_sums(self, vectors: int) -> int:
        """Return how many accumulators the largest tile worth trying has."""
        # Four steps of a transformed layer stand one after another, and LLVM loads all their codes
        # and weights ahead: with two more sums it spills (as compiled for a Cortex-A76).
        most = self.sums_in_registers(vectors)
        return min(most, _UNROLLED_SUMS) if self.winograd else FourChannels.most_sums(self, vectors)

    def weight_steps(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return the weights of each step group by group: four of each channel."""
        *outer, channels, codes = rows.shape
        split = rows.reshape(*outer, channels, -1, _GROUP)
        groups = np.moveaxis(split, -3, -2)
        return groups.reshape(*outer, codes // self.products, self.weight_lanes)


def choose_arm_dot(activation_bits: int, geometry: Geometry) -> ArmDot:
    """Return the family with the most codes in a step that waste no group of four.

    Args:
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
        geometry: The layer's shapes.
    """
    groups = -(-geometry.run_codes // _GROUP)
    products = next(count for count in (16, 8, 4) if groups % (count // _GROUP) == 0)
    return ArmDot(
        products=products,
        weight_lanes=_CHANNELS * products,
        code_dtype="int8" if activation_bits == 8 else "uint8",
    )
