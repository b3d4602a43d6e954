"""Transposed copies: numpy's own transposition is the reference."""

from itertools import permutations

import numpy as np
import pytest

from hardware.kernels.shapes.reorder import reorder


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize("last", [1, 3, 4, 6, 8, 16, 24])
def test_it_is_numpys_transposition(dtype: str, last: int) -> None:
    rng = np.random.default_rng(last)
    array = rng.integers(-100, 100, (2, 3, 5, last)).astype(dtype)
    for axes in permutations(range(4)):
        found = reorder(array, axes)
        assert found.flags.c_contiguous
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array.transpose(axes))


def test_what_is_not_contiguous_is_copied_first() -> None:
    array = np.arange(240, dtype=np.int8).reshape(4, 5, 12)[:, ::2, :8]
    np.testing.assert_array_equal(reorder(array, (1, 0, 2)), array.transpose(1, 0, 2))


def test_nothing_is_copied_where_nothing_moves() -> None:
    array = np.arange(24, dtype=np.int8).reshape(2, 3, 4)
    assert np.shares_memory(reorder(array, (0, 1, 2)), array)


def test_empty_arrays_keep_their_shape() -> None:
    assert reorder(np.zeros((3, 0, 2), np.int8), (1, 0, 2)).shape == (0, 3, 2)
