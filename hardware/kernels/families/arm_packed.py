"""Arm on packed weights of 2 to 7 bits.

A matrix product of one vector uses every weight once, so that it takes as long as reading them.
They are read without a gap here (see `BitPacking`). As with `VnniPacked`, a weight is moved to the
top of its byte, where it is itself times a power of two, and the whole sum is divided by that at
its end.

With 4 bits, a step of 32 codes has four registers of weights. Lane c of register g holds, for
output channel c:

    low halves    the weights of codes 4 g .. 4 g + 3            `shl` by 4, then `sdot`
    high halves   those of codes 16 + 4 g .. 16 + 4 g + 3        `and` with 0xF0, then `sdot`

A weight in pieces is put together by `sli`, which shifts a byte left and keeps what the other one
has below. With 5 bits, the weight f of `BitPacking`'s drawing:

    shl by 3 of byte 0    . . f f f 0 0 0       its lowest three bits, and others above them
    sli by 6 of byte 1    f f f f f 0 0 0       f * 8

`NeonPacked`, without dot product, has two or four channels' weights in a byte, or two of each of
four channels in the bytes that eight weights share. `sshr` brings a weight down, so that it is
itself and sums of 16 bits are as deep as they are for bytes. By LLVM's model of Cortex-A72 taking
out costs nothing from 2 to 6 bits, as multiplications wait for each other, and 9 % at 7.

Codes of 8 bits less 128 are within -128 and 127, and so is a weight at the top: both are signed
bytes. Instructions for 128 weights, and cycles by LLVM's model of Neoverse N1 with all data in the
first cache (a layer of 512 by 1000):

    bits    loads  taking out  `sdot`   modelled cycles
    8           8           -       8        9.3
    7           7          14       8       11.5
    6           6          12       8       10.5
    5           5          14       8       11.5
    4           4           8       8        8.5
    3           3          14       8       11.5
    2           2          12       8       10.5

So packing pays where the memory gives fewer than 128 bytes in 11 cycles: 26 GB/s at 2.4 GHz. At 3
bits the halves of bytes are the rule: a quarter less to read takes a third more cycles.

    >>> layer = Geometry(batch=1, height=1, width=1, channels=8, out_channels=4)
    >>> rows = np.zeros((4, 8), np.int8)  # 4 channels, 8 codes
    >>> rows[0] = (-1, 2, 3, 4, 5, -6, 7, -7)
    >>> [f"{byte:08b}" for byte in choose_arm_dot_packed(4, 4, layer).weight_steps(rows)[0, :4]]
    ['01011111', '10100010', '01110011', '10010100']
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import load, vector_type
from hardware.kernels.emitting.vectors import join, parts
from hardware.kernels.families.arm_dot import ArmDot
from hardware.kernels.families.bit_packing import BYTE, BitPacking, PackedWeights
from hardware.kernels.families.neon import NeonWords, largest_code, neon_depth
from hardware.kernels.shapes.geometry import Geometry

_CHANNELS = 4
_GROUP = 4
"""Codes of one lane of `sdot`."""
_LANES = 16
"""Bytes of a register."""
_MOST_PRODUCTS = 32
_LARGEST_PRODUCT = 128 * 128
"""No product of a code and a weight at the top of its byte is larger."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmDotPacked(PackedWeights, ArmDot):
    """`sdot` on weights that are taken out of their bytes."""

    name: str
    products: int
    """8, 16 or 32: `_GROUP` for each weight of one or more groups (see `BitPacking`)."""

    @property
    def units(self) -> int:
        """Groups of weights of one step."""
        return self.products // (_GROUP * self.packing.weights)

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return registers of int32 lanes, of four codes each."""
        lanes = min(_LANES, self.products)
        return [
            T.Bind(
                T.reinterpret(
                    load(codes, position + first, lanes),
                    dtype=vector_type("int32", lanes // _GROUP),
                )
            )
            for first in range(0, self.products, lanes)
        ]

    def read_weight(self, weights: Any, place: Any) -> Any:
        """Return a register for each of the bytes that a group of weights shares."""
        return _registers(weights, place, self.weight_lanes)

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of all products, times a power of two."""
        total = T.broadcast(T.int32(0), _CHANNELS) if total is None else total
        packing, lanes = self.packing, min(_LANES, self.products) // _GROUP
        for unit in range(self.units):
            stored = weight[unit * packing.stored : (unit + 1) * packing.stored]
            for which in range(packing.weights):
                register, lane = divmod(which * self.units + unit, lanes)
                # A shuffle may not have more lanes than its vectors together.
                sources = [code[register]] * (_CHANNELS // lanes)
                total = T.call_llvm_pure_intrin(
                    T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.sdot"),
                    total,
                    take_to_top(stored, packing, which),
                    T.reinterpret(tirx.Shuffle(sources, [lane] * _CHANNELS), dtype="int8x16"),
                    dtype="int32x4",
                )
        return total

    def finish(self, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the sums themselves."""
        (total,) = carried
        return (T.shift_right(total, T.broadcast(T.int32(BYTE - self.weight_bits), _CHANNELS)),)

    def weight_steps(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return the bytes that the weights of each step share, register by register."""
        *outer, channels, codes = rows.shape
        steps, packing = codes // self.products, self.packing
        split = rows.view(np.uint8).reshape(
            *outer, channels, steps, packing.weights, self.units, _GROUP
        )
        packed = packing.pack(np.moveaxis(split, -3, -1))
        # [..., channels, steps, units, group, bytes] as [..., steps, units, bytes, channels, group]
        moved = np.moveaxis(packed, (-5, -1), (-2, -3))
        return moved.reshape(*outer, steps, self.weight_lanes)

    def fits(self, steps: int) -> bool:
        """Return whether 32 bits hold the sum of so many steps, times the power of two."""
        return steps * self.products * _LARGEST_PRODUCT <= np.iinfo(np.int32).max


def choose_arm_dot_packed(
    weight_bits: int, activation_bits: int, geometry: Geometry
) -> ArmDotPacked:
    """Return the family with the most codes in a step that waste no group of weights.

    Args:
        weight_bits: 2 to 7.
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
        geometry: The layer's shapes.
    """
    packing = BitPacking(weight_bits)
    one = _GROUP * packing.weights
    groups = -(-geometry.run_codes // one)
    units = next(n for n in (4, 2, 1) if n * one <= _MOST_PRODUCTS and groups % n == 0)
    return ArmDotPacked(
        name=f"arm-dot-p{weight_bits}",
        weight_bits=weight_bits,
        products=units * one,
        weight_lanes=_LANES * packing.stored * units,
        code_dtype="int8" if activation_bits == BYTE else "uint8",
        most_inside=max(1, 4 // packing.stored),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class NeonPacked(PackedWeights, NeonWords):
    """`smlal` on weights that are taken out of their bytes."""

    def read_weight(self, weights: Any, place: Any) -> Any:
        """Return a register for each of the bytes that a group of weights shares."""
        return _registers(weights, place, self.weight_lanes)

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + products, eight sums for each channel."""
        packing, taken = self.packing, []
        for vector in range(_CHANNELS * self.products // _LANES):
            group, which = divmod(vector, packing.weights)
            stored = weight[group * packing.stored : (group + 1) * packing.stored]
            taken.append(T.Bind(take_down(stored, packing, which)))
        sixteens = parts(T.Bind(code), self.products // _LANES)
        for index, codes in enumerate(sixteens):
            four = join(taken[_CHANNELS * index : _CHANNELS * (index + 1)])
            total = self.add_products(total, codes, four, _LANES)
        return total

    def weight_steps(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return the bytes that the weights of each step share, register by register."""
        *outer, channels, codes = rows.shape
        steps, packing = codes // self.products, self.packing
        split = rows.view(np.uint8).reshape(*outer, channels, steps, -1, _LANES)
        # [..., steps, sixteens, channels, 16]: vectors in the order in which they are taken out
        vectors = np.moveaxis(split, -4, -2)
        groups = vectors.reshape(*outer, steps, -1, packing.weights, _LANES)
        packed = packing.pack(np.moveaxis(groups, -2, -1))
        return np.moveaxis(packed, -1, -2).reshape(*outer, steps, self.weight_lanes)


def choose_neon_packed(weight_bits: int, activation_bits: int, geometry: Geometry) -> NeonPacked:
    """Return the family whose sums of 16 bits hold the most steps.

    Args:
        weight_bits: 2 to 7.
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
        geometry: The layer's shapes.
    """
    packing = BitPacking(weight_bits)
    vectors = max(_CHANNELS, packing.weights)
    products = _LANES * vectors // _CHANNELS
    largest = largest_code(activation_bits) * (2 ** (weight_bits - 1) - 1)
    depth = neon_depth(largest, products)
    return NeonPacked(
        name=f"neon-p{weight_bits}-d{depth}",
        weight_bits=weight_bits,
        depth=depth,
        products=products,
        weight_lanes=_LANES * vectors * packing.stored // packing.weights,
        code_dtype="int8" if activation_bits == BYTE else "uint8",
        most_inside=max(1, 4 // packing.stored),
    )


def take_to_top(stored: Sequence[Any], packing: BitPacking, weight: int) -> Any:
    """Return int8x16 with one weight at the top of each byte, the other bits zero.

    Args:
        stored: int8x16, one for each byte of the group.
        packing: Where the bits of weights are.
        weight: Which of the group's.
    """
    found, base = _put_together(stored, packing, weight), BYTE - packing.bits
    if packing.pieces[weight][0].first:
        found = T.bitwise_and(found, T.broadcast(T.int8(-(1 << base)), _LANES))
    return found


def take_down(stored: Sequence[Any], packing: BitPacking, weight: int) -> Any:
    """Return int8x16 with one weight in each lane, with its sign.

    Args:
        stored: See `take_to_top`.
        packing: Likewise.
        weight: Likewise.
    """
    found = _put_together(stored, packing, weight)
    return T.shift_right(found, T.broadcast(T.int8(BYTE - packing.bits), _LANES))


def _put_together(stored: Sequence[Any], packing: BitPacking, weight: int) -> Any:
    """Return one weight at the top of each byte, and anything below it."""
    base = BYTE - packing.bits
    lowest, *others = packing.pieces[weight]
    found = stored[lowest.byte]
    if base > lowest.first:
        found = T.shift_left(found, T.broadcast(T.int8(base - lowest.first), _LANES))
    for piece in others:
        # It is the lowest of its byte: nothing but itself and what is above it comes along.
        assert not piece.first
        found = T.call_llvm_pure_intrin(
            T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.vsli"),
            found,
            stored[piece.byte],
            T.int32(base + piece.place),
            dtype="int8x16",
        )
    return found


def _registers(weights: Any, place: Any, count: int) -> list[Any]:
    """Return the registers of `count` stored bytes."""
    return [
        T.Bind(T.reinterpret(load(weights, place + first, _LANES), dtype="int8x16"))
        for first in range(0, count, _LANES)
    ]
