"""Constants of a program as few bits as their values need.

Kernels read weights in an order and a form of their own. Here each array is written as the numbers
that it holds, each in as many bits as tell them apart, so that weights of four bits take four.
Needs numpy alone.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]

_BITS = "bits"
_WINOGRAD = "winograd"
_RAW = "raw"
_MOST_BITS = 8
"""Integers that need more are written as they are."""
_PLACES = 4
_WEIGHTS = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])
"""What Winograd's kernels transform weights with, on both sides: see
`hardware.kernels.shapes.transform`."""
_BACK = np.array([[1, 0, 0, 0], [-1, 2, 0, -1], [0, 0, 0, 1]])
"""Twice what leads back."""


def write_constant(array: _Array, *, winograd: bool = False) -> tuple[dict[str, Any], bytes]:
    """Return what `read_constant` needs: a JSON document, and bytes.

    Args:
        array: The constant.
        winograd: It holds transformed weights, int8 or int16 `[blocks, 16, ...]`, which are written
            as the nine weights that they are made of.
    """
    document: dict[str, Any] = {"shape": array.shape, "dtype": str(array.dtype), "form": _RAW}
    if winograd:
        packed, data = _write_bits(_weights_of(array))
        return {**document, **packed, "form": _WINOGRAD}, data
    if array.dtype.kind in "iu" and array.size:
        packed, data = _write_bits(array)
        if packed["bits"] <= _MOST_BITS:
            return {**document, **packed, "form": _BITS}, data
    return document, np.ascontiguousarray(array).tobytes()


def read_constant(document: Mapping[str, Any], data: bytes) -> _Array:
    """Return the constant that `write_constant` wrote."""
    shape, dtype = tuple(document["shape"]), np.dtype(document["dtype"])
    if document["form"] == _RAW:
        return np.frombuffer(data, dtype).reshape(shape).copy()
    if document["form"] == _BITS:
        return _read_bits(document, data, int(np.prod(shape))).astype(dtype).reshape(shape)
    taps = _read_bits(document, data, int(np.prod(shape)) * 9 // 16)
    taps = taps.reshape(shape[0], 3, 3, -1)
    places: _Array = np.einsum("ij,bjkn,lk->biln", _WEIGHTS, taps, _WEIGHTS, optimize=True)
    return places.astype(dtype).reshape(shape)


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


def _weights_of(transformed: _Array) -> _Array:
    """Return the weights `[blocks, 3, 3, ...]` behind transformed ones `[blocks, 16, ...]`."""
    places = transformed.reshape(transformed.shape[0], _PLACES, _PLACES, -1).astype(np.int32)
    fourfold: _Array = np.einsum("ij,bjkn,lk->biln", _BACK, places, _BACK, optimize=True)
    return fourfold // 4
