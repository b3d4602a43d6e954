"""Bit packing: weights of 2 to 7 bits share bytes without a gap.

A group of weights fills the fewest whole bytes, the same way in every lane of a register: eight
weights of 3, 5 or 7 bits as many bytes as they have bits, four of 6 bits three bytes, and two of 4
or four of 2 bits one byte. A byte holds as many whole weights as fit above its lowest 8 modulo b
bits; these rests of all bytes are the weights that are left. With five bits, a letter for each
weight:

    bit       7 6 5 4 3   2 1 0
    byte 0    a a a a a   f f f     f is put together from two pieces,
    byte 1    b b b b b   g f f     its lowest bits first
    byte 2    c c c c c   g g g
    byte 3    d d d d d   h h g
    byte 4    e e e e e   h h h

What a kernel takes out stands at the top of a byte, where it is the signed weight times 2^(8 - b),
or at its bottom, where it is unsigned and 2^(b - 1) is subtracted.

    >>> packing = BitPacking(5)
    >>> packing.pieces[1]
    (Piece(byte=1, first=3, bits=5, place=0),)
    >>> packing.pieces[5]
    (Piece(byte=0, first=0, bits=3, place=0), Piece(byte=1, first=0, bits=2, place=3))
    >>> packing.pack(np.array([1, 2, 3, 4, 5, 0b11011, 0, 0], np.uint8)).tolist()
    [11, 19, 24, 32, 40]
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import lanes_of
from hardware.kernels.families.family import WeightDtype

BYTE = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Neighbouring bits of one weight in one byte."""

    byte: int
    first: int
    """Lowest bit of the byte that they are in."""
    bits: int
    place: int
    """Lowest bit of the weight that they are."""


@dataclass(frozen=True)
class BitPacking:
    """Where the bits of a group of weights are."""

    bits: int
    """Of one weight: 2 to 7."""

    @property
    def weights(self) -> int:
        """Weights of a group."""
        return BYTE // gcd(BYTE, self.bits)

    @property
    def stored(self) -> int:
        """Bytes of a group."""
        return self.bits // gcd(BYTE, self.bits)

    @cached_property
    def pieces(self) -> tuple[tuple[Piece, ...], ...]:
        """The pieces of each weight."""
        rest = BYTE % self.bits
        whole = [
            (Piece(byte=byte, first=first, bits=self.bits, place=0),)
            for byte in range(self.stored)
            for first in range(rest, BYTE, self.bits)
        ]
        # The rests, bit by bit: which byte, and which bit of it.
        left = [(byte, bit) for byte in range(self.stored) for bit in range(rest)]
        starts = range(0, len(left), self.bits)
        return (*whole, *(_joined(left[start : start + self.bits]) for start in starts))

    def pack(self, weights: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return bytes `[..., stored]` of weights `[..., weights]`, their lowest bits."""
        packed = np.zeros((*weights.shape[:-1], self.stored), np.uint8)
        for weight, pieces in enumerate(self.pieces):
            for piece in pieces:
                bits = weights[..., weight] >> piece.place & (1 << piece.bits) - 1
                packed[..., piece.byte] |= bits << piece.first
        return packed

    def pack_steps(self, rows: npt.NDArray[np.int8], group: int) -> npt.NDArray[np.uint8]:
        """Return the bytes of each step: those of all channels' first bytes, and so on.

        Args:
            rows: Weights `[..., channels, codes]`; of these only the lowest bits count.
            group: Neighbouring codes of one lane.

        Returns:
            `[..., steps, stored * channels * group]`.
        """
        *outer, channels, codes = rows.shape
        steps = codes // (group * self.weights)
        split = rows.view(np.uint8).reshape(*outer, channels, steps, self.weights, group)
        packed = self.pack(np.moveaxis(split, -2, -1))
        # [..., channels, steps, group, bytes] as [..., steps, bytes, channels, group]
        return np.moveaxis(packed, (-3, -1), (-4, -3)).reshape(*outer, steps, -1)

    def instructions(self) -> int:
        """Return about how many instructions take a group's vectors of weights out."""
        pieces = [piece for one in self.pieces for piece in one]
        shifts = sum(piece.first + piece.bits < BYTE for piece in pieces)
        return 2 * len(pieces) - self.weights + shifts

    def unpack(self, stored: Sequence[Any], weight: int, *, at_top: bool) -> Any:
        """Return the bytes of one weight in all lanes, the other bits of them zero.

        Args:
            stored: A uint8 vector for each byte of the group.
            weight: Which of the group's.
            at_top: Whether it goes to the top of the byte, else to the bottom.
        """
        base = BYTE - self.bits if at_top else 0
        return reduce(
            T.bitwise_or, (_moved(stored[p.byte], p, base + p.place) for p in self.pieces[weight])
        )


@dataclass(frozen=True, kw_only=True)
class PackedWeights:
    """What families have in common whose weights share bytes; the first of their bases."""

    __slots__ = ()  # a class may have one base with slots of its own, and families have them

    weight_bits: int
    """Bits of one weight."""
    # By a factory: a default would stay here as an attribute, before the slot that families have.
    weight_dtype: WeightDtype = field(default_factory=lambda: "uint8")

    @property
    def packing(self) -> BitPacking:
        """Where the bits of weights are."""
        return BitPacking(self.weight_bits)


def _joined(bits: Sequence[tuple[int, int]]) -> tuple[Piece, ...]:
    """Return a weight's bits, `(byte, bit)` from the lowest on, as pieces."""
    pieces = []
    for byte in dict.fromkeys(byte for byte, _ in bits):
        places = [place for place, (one, _) in enumerate(bits) if one == byte]
        first = bits[places[0]][1]
        pieces.append(Piece(byte=byte, first=first, bits=len(places), place=places[0]))
    return tuple(pieces)


def _moved(stored: Any, piece: Piece, to: int) -> Any:
    """Return a piece's bits at another place, the other bits zero."""
    lanes = lanes_of(stored)
    if to != piece.first:
        # x86 shifts no bytes: the neighbour's bits that come along are masked away.
        words = T.reinterpret(stored, dtype=f"uint32x{lanes // 4}")
        distance = T.broadcast(T.uint32(abs(to - piece.first)), lanes // 4)
        shift = T.shift_left if to > piece.first else T.shift_right
        stored = T.reinterpret(shift(words, distance), dtype=f"uint8x{lanes}")
    return T.bitwise_and(stored, T.broadcast(T.uint8(((1 << piece.bits) - 1) << to), lanes))
