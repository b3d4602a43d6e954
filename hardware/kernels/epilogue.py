"""Epilogues: from a tile's integer sums to codes or logits in the output tensor.

Source: docs/integers.md, "Requantization".
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.avx2_pack import pack_bytes, pack_words, rounded
from hardware.kernels.emit import element_type, lanes_of, load, store, vector_type
from hardware.kernels.requantize import narrowed, requantized

__all__ = ["Avx2Epilogue", "Epilogue", "PlainEpilogue", "Scaling"]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Buffers of an epilogue's constants."""

    bias: Any
    """int32, flat."""
    multiplier: Any
    """float32, likewise."""
    limits: Any
    """float32 `[zero_point, clip_min, clip_max]`."""


@dataclass(frozen=True, slots=True)
class Epilogue(ABC):
    """Scales, rounds, clips and stores."""

    @abstractmethod
    def emit(
        self,
        sums: Sequence[Any],
        constant: Any,
        scaling: Scaling,
        output: Any,
        place: Any,
        real: int,
    ) -> None:
        """Emit one pixel's outputs.

        Args:
            sums: int32 vectors of one block of channels, in order.
            constant: Where the block's constants start in `scaling`.
            scaling: Buffers of the constants.
            output: Flat output buffer: u8 or int16 codes, or float32 for logits.
            place: Where the block's first channel goes in it.
            real: How many of the block's channels exist.
        """


class PlainEpilogue(Epilogue):
    """One vector at a time, in plain operations: any target."""

    def emit(
        self,
        sums: Sequence[Any],
        constant: Any,
        scaling: Scaling,
        output: Any,
        place: Any,
        real: int,
    ) -> None:
        """Emit one pixel's outputs."""
        dtype = str(output.dtype)
        for index, total in enumerate(sums):
            lanes = lanes_of(total)
            start = index * lanes
            total = total + load(scaling.bias, constant + start, lanes)
            multiplier = load(scaling.multiplier, constant + start, lanes)
            if start >= real:
                return
            if dtype == "float32":
                result = T.Cast(vector_type("float32", lanes), total) * multiplier
            else:
                result = narrowed(
                    requantized(total, multiplier, scaling.limits, lanes), dtype, lanes
                )
            store_first(result, output, place + start, min(lanes, real - start))


class Avx2Epilogue(Epilogue):
    """Rounds as it converts and clips as it packs: five instructions for eight channels."""

    def emit(
        self,
        sums: Sequence[Any],
        constant: Any,
        scaling: Scaling,
        output: Any,
        place: Any,
        real: int,
    ) -> None:
        """Emit one pixel's outputs."""
        lanes = 8
        totals, multipliers = [], []
        for index, total in enumerate(sums):
            totals.append(total + load(scaling.bias, constant + index * lanes, lanes))
            multipliers.append(load(scaling.multiplier, constant + index * lanes, lanes))
        if str(output.dtype) == "float32":
            _emit_logits(totals, multipliers, output, place, real)
            return
        zero_point = T.Cast("int32", scaling.limits[0])
        codes = [
            rounded(total, multiplier) + T.broadcast(zero_point, lanes)
            for total, multiplier in zip(totals, multipliers, strict=True)
        ]
        start = 0
        for vector in _packed(codes, str(output.dtype)):
            count = lanes_of(vector)
            if start < real:
                clipped = _clipped(vector, scaling.limits, str(output.dtype))
                store_first(clipped, output, place + start, min(count, real - start))
            start += count


def store_first(vector: Any, output: Any, place: Any, count: int) -> None:
    """Emit the store of the first `count` lanes."""
    lanes, dtype = lanes_of(vector), str(output.dtype)
    if count >= lanes:
        store(output, place, vector, lanes)
        return
    whole = T.alloc_buffer((lanes,), dtype, scope="local")
    store(whole, 0, vector, lanes)
    start = 0
    while start < count:
        piece = 1 << ((count - start).bit_length() - 1)
        store(output, place + start, load(whole, start, piece), piece)
        start += piece


def _packed(codes: Sequence[Any], dtype: str) -> list[Any]:
    """Return all codes as few vectors of the output's type, of int16 or of int32, in order."""
    result, at = [], 0
    while len(codes) - at >= 4 and dtype == "uint8":
        result.append(pack_bytes(codes[at : at + 4]))
        at += 4
    while len(codes) - at >= 2:
        result.append(pack_words(*codes[at : at + 2]))
        at += 2
    return [*result, *codes[at:]]


def _clipped(vector: Any, limits: Any, dtype: str) -> Any:
    """Return codes clipped to the limits, as the output's type."""
    own, lanes = element_type(vector), lanes_of(vector)
    low, high = (T.broadcast(T.Cast(own, limits[index]), lanes) for index in (1, 2))
    clipped = T.min(T.max(vector, low), high)
    return clipped if own == dtype else T.Cast(vector_type(dtype, lanes), clipped)


def _emit_logits(
    totals: Sequence[Any], multipliers: Sequence[Any], output: Any, place: Any, real: int
) -> None:
    """Emit float32 outputs."""
    for index, (total, multiplier) in enumerate(zip(totals, multipliers, strict=True)):
        if index * 8 < real:
            value = T.Cast("float32x8", total) * multiplier
            store_first(value, output, place + index * 8, min(8, real - index * 8))
