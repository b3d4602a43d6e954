"""Constants of a program as few bits as their values need.

Kernels read weights in an order and a form of their own. Here each array is written as the numbers
that it holds, each in as many bits as tell them apart, so that weights of four bits take four.
Needs numpy alone.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]

_BITS = "bits"
_WINOGRAD = "winograd"
_STRIDED = "winograd-strided"
_RAW = "raw"
_MOST_BITS = 8
"""Integers that need more are written as they are."""
_TAPS = 9
_MOST_ALIKE = 2**24
"""Numbers that are all equal take no bytes, so that no file's size limits how many they are."""
_DTYPES = (
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"),
    *("bool", "float32", "float64"),
)
_SMALL = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])
_LARGE = np.array([[3, 0, 0], [1, 1, 1], [1, -1, 1], [1, 2, 4], [0, 0, 3]])
_SMALL_BACK = np.array([[1, 0, 0, 0], [-1, 2, 0, -1], [0, 0, 0, 1]])
_LARGE_BACK = np.array([[1, 0, 0, 0, 0], [-1, 3, 0, 0, -1], [0, 0, 0, 0, 1]])
_PHASES = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]])
_PHASES_BACK = np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1]])
_PHASES_ORDER = (
    *(12, 2, 7, 10, 11, 13, 14, 17, 22),
    *(0, 1, 5, 6, 3, 4, 8, 9, 15, 16, 20, 21, 18, 19, 23, 24),
)
"""The order of these places (see `hardware.kernels.shapes.tile_strided`)."""
_TRANSFORMS = {
    (_WINOGRAD, 16): (_SMALL, _SMALL_BACK, 4),
    (_WINOGRAD, 25): (_LARGE, _LARGE_BACK, 9),
    (_WINOGRAD, 26): (_LARGE, _LARGE_BACK, 9),
    (_STRIDED, 25): (_PHASES, _PHASES_BACK, 1),
}
"""By form and number of places: what Winograd's kernels transform weights with, on both sides (see
`hardware.kernels.shapes.transform`), what leads back, and how many times the weights come back."""
_SPLIT, _SPLIT_PLACE, _SPLIT_ROW = 26, 18, np.array([0, 0, 4])
"""With 26 places, the last one has a part of this place: what this row of the transform gives."""


def write_constant(
    array: _Array, *, winograd: bool = False, strided: bool = False
) -> tuple[dict[str, Any], bytes]:
    """Return what `read_constant` needs: a JSON document, and bytes.

    Args:
        array: The constant.
        winograd: It holds transformed weights, int8 or int16 `[blocks, places, ...]`, which are
            written as the nine weights that they are made of.
        strided: They are those of a convolution with a stride.
    """
    document: dict[str, Any] = {"shape": array.shape, "dtype": str(array.dtype), "form": _RAW}
    if winograd:
        form = _STRIDED if strided else _WINOGRAD
        packed, data = _write_bits(_weights_of(array, form))
        return {**document, **packed, "form": form}, data
    if array.dtype.kind in "iu" and array.size:
        packed, data = _write_bits(array)
        if packed["bits"] <= _MOST_BITS:
            return {**document, **packed, "form": _BITS}, data
    return document, np.ascontiguousarray(array).tobytes()


def read_constant(document: Mapping[str, Any], data: bytes) -> _Array:
    """Return the constant that `write_constant` wrote.

    Raises:
        ValueError: the document and the bytes do not belong together.
    """
    shape, dtype = tuple(document["shape"]), _dtype(document["dtype"])
    _check_size(document, math.prod(shape), dtype.itemsize, len(data))
    if document["form"] == _RAW:
        return np.frombuffer(data, dtype).reshape(shape).copy()
    if document["form"] == _BITS:
        return _read_bits(document, data, int(np.prod(shape))).astype(dtype).reshape(shape)
    taps = _read_bits(document, data, int(np.prod(shape)) // shape[1] * _TAPS)
    places = _places_of(taps.reshape(shape[0], 3, 3, -1), document["form"], shape[1])
    return places.astype(dtype).reshape(shape)


def _dtype(name: str) -> np.dtype[Any]:
    if name not in _DTYPES:
        raise ValueError(f"expected one of the types {', '.join(_DTYPES)}, found {name[:60]!r}")
    return np.dtype(name)


def _check_size(document: Mapping[str, Any], count: int, itemsize: int, found: int) -> None:
    """Compare the bytes that there are with those that a constant needs, before any is read."""
    form, bits = document["form"], document.get("bits")
    forms = (_BITS, _WINOGRAD, _STRIDED, _RAW)
    if form not in forms:
        raise ValueError(f"expected one of {', '.join(forms)}, found {form[:60]!r}")
    if form == _RAW:
        expected = count * itemsize
    elif bits is None or document.get("low") is None:
        raise ValueError("expected low and bits, found none")
    else:
        shape = document["shape"]
        if form != _BITS and (len(shape) < 2 or (form, shape[1]) not in _TRANSFORMS):
            known = ", ".join(str(places) for one, places in _TRANSFORMS if one == form)
            raise ValueError(f"expected one of {known} places, found the shape {shape}")
        numbers = count if form == _BITS else count // shape[1] * _TAPS
        expected = -(-numbers * bits // 8)
        if not bits and count > _MOST_ALIKE:
            raise ValueError(f"expected at most {_MOST_ALIKE} equal numbers, found {count}")
    if found != expected:
        raise ValueError(f"expected {expected} bytes, found {found}")


def _write_bits(values: _Array) -> tuple[dict[str, int], bytes]:
    low, high = int(values.min()), int(values.max())
    bits = (high - low).bit_length()
    if bits > _MOST_BITS:
        return {"low": low, "bits": bits}, b""
    # The lowest bit first, so that numbers of any width follow each other without gaps.
    numbers = (values.reshape(-1).astype(np.int64) - low).astype(np.uint8)
    planes = numbers[:, None] >> np.arange(bits, dtype=np.uint8) & 1
    return {"low": low, "bits": bits}, np.packbits(planes, bitorder="little").tobytes()


def _read_bits(document: Mapping[str, Any], data: bytes, count: int) -> npt.NDArray[np.int16]:
    bits, low = document["bits"], document["low"]
    planes = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits, bitorder="little")
    numbers = np.zeros(count, np.int16)
    for bit in range(bits):
        numbers |= planes[bit::bits].astype(np.int16) << bit
    return numbers + np.int16(low) if abs(low) < 2**14 else numbers.astype(np.int64) + low


def _places_of(taps: _Array, form: str, count: int) -> _Array:
    """Return the transformed weights `[blocks, places, n]` of `[blocks, 3, 3, n]`."""
    matrix, _, _ = _TRANSFORMS[form, count]
    square = np.einsum("ij,bjkn,lk->biln", matrix, taps, matrix, optimize=True)
    places: _Array = square.reshape(len(taps), len(matrix) ** 2, -1)
    if form == _STRIDED:
        return places[:, _PHASES_ORDER]
    if count != _SPLIT:
        return places
    column = matrix[_SPLIT_PLACE % len(matrix)]
    part = np.einsum("j,bjkn,k->bn", _SPLIT_ROW, taps, column, optimize=True)
    places[:, _SPLIT_PLACE] -= part
    return np.concatenate([places, part[:, None]], axis=1)


def _weights_of(transformed: _Array, form: str) -> _Array:
    """Return the weights `[blocks, 3, 3, ...]` behind transformed ones `[blocks, places, ...]`."""
    matrix, back, times = _TRANSFORMS[form, transformed.shape[1]]
    side = len(matrix)
    if form == _STRIDED:
        transformed = transformed[:, np.argsort(_PHASES_ORDER)]
    # No part of a place that is split leads back.
    square = transformed[:, : side**2].reshape(len(transformed), side, side, -1).astype(np.int32)
    manyfold: _Array = np.einsum("ij,bjkn,lk->biln", back, square, back, optimize=True)
    return manyfold // times
