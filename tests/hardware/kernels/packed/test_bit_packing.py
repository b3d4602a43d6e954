"""Weights that share bytes: nothing is lost, and no bit is left unused."""

import numpy as np
import pytest

from hardware.kernels.families.bit_packing import BYTE, BitPacking

widths = pytest.mark.parametrize("bits", range(2, 8))


@widths
def test_every_bit_of_every_byte_is_one_bit_of_one_weight(bits: int) -> None:
    packing = BitPacking(bits)
    in_bytes, in_weights = set(), set()
    for weight, pieces in enumerate(packing.pieces):
        for piece in pieces:
            for bit in range(piece.bits):
                in_bytes.add((piece.byte, piece.first + bit))
                in_weights.add((weight, piece.place + bit))
    assert len(in_bytes) == BYTE * packing.stored
    assert in_weights == {(w, bit) for w in range(packing.weights) for bit in range(bits)}


@widths
def test_weights_are_what_is_taken_out_of_their_bytes(bits: int) -> None:
    packing = BitPacking(bits)
    weights = np.random.default_rng(bits).integers(0, 1 << bits, (50, packing.weights), np.uint8)
    packed = packing.pack(weights)
    assert packed.shape == (50, packing.stored)
    for weight, pieces in enumerate(packing.pieces):
        found = np.zeros(50, np.uint8)
        for piece in pieces:
            mask = (1 << piece.bits) - 1
            found |= (packed[:, piece.byte] >> piece.first & mask) << piece.place
        assert np.array_equal(found, weights[:, weight])
