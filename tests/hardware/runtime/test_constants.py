"""Constants are read back to the bit, in as few bits as their values need."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.kernels.shapes.transform import TileName
from hardware.kernels.shapes.transformed_codes import TILES
from hardware.runtime.constants import read_constant, write_constant


@given(
    bits=st.integers(2, 8),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 9)),
    seed=st.integers(0, 2**32 - 1),
)
def test_weights_take_their_own_bits(bits: int, shape: tuple[int, ...], seed: int) -> None:
    limit = 2 ** (bits - 1) - 1
    codes = np.random.default_rng(seed).integers(-limit, limit + 1, shape).astype(np.int8)
    document, data = write_constant(codes)
    found = read_constant(document, data)
    assert found.dtype == codes.dtype
    np.testing.assert_array_equal(found, codes)
    assert len(data) <= -(-codes.size * bits // 8)


@pytest.mark.parametrize(
    "array",
    [
        np.array([-(2**31), 2**31 - 1], np.int32),
        np.array([[1.5, -np.inf]], np.float32),
        np.full(7, 40_000, np.int32),
        np.array([3, -3], np.int16),
        np.zeros((2, 0), np.int8),
        np.array([255, 0, 128], np.uint8),
    ],
)
def test_whatever_a_constant_holds_is_read_back(array: np.ndarray) -> None:
    document, data = write_constant(array)
    found = read_constant(document, data)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("tiles", "widths"),
    [
        ("2x2", ((2, np.int8), (3, np.int8), (4, np.int8), (5, np.int16), (8, np.int16))),
        ("3x3", ((2, np.int8),)),
        ("3x3-split", ((2, np.int8), (3, np.int8))),
        ("strided", ((2, np.int8), (4, np.int8), (6, np.int8), (7, np.int16), (8, np.int16))),
    ],
)
def test_transformed_weights_are_written_as_the_weights_they_are_made_of(
    tiles: TileName, widths: tuple[tuple[int, type], ...]
) -> None:
    rng, transform = np.random.default_rng(0), TILES[tiles]
    for bits, dtype in widths:
        limit = 2 ** (bits - 1) - 1
        taps: np.ndarray = rng.integers(-limit, limit + 1, (3, 3, 5, 4, 2, 32)).astype(dtype)
        transformed: np.ndarray = np.empty((5, len(transform.places), 4, 2, 32), dtype)
        transform.transform_taps(taps, transformed)
        document, data = write_constant(transformed, winograd=True, strided=tiles == "strided")
        np.testing.assert_array_equal(read_constant(document, data), transformed)
        assert len(data) == -(-taps.size * bits // 8)
