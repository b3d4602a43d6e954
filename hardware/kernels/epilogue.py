"""Epilogues: from a tile's integer sums to codes or logits in the output tensor.

Source: docs/integers.md, "Requantization".
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.avx2_pack import pack_bytes, pack_words, rounded
from hardware.kernels.emit import element_type, lanes_of, load, spread, store, vector_type
from hardware.kernels.requantize import narrowed, requantized

__all__ = ["Avx2Epilogue", "Epilogue", "Follow", "Outputs", "PlainEpilogue", "Scaling"]


@dataclass(frozen=True, slots=True)
class Follow:
    """What is computed of a layer's wide codes before they are stored: buffers and flags."""

    other: Any | None
    """int16 tensor that is added, None without an addition."""
    scales: Any
    """float32 `[own, other, narrow]`: multipliers of the addition and of the requantization."""
    limits: Any
    """float32 `[clip_min, clip_max, zero_point, clip_min, clip_max]`: the sum's, the narrow's."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Buffers of an epilogue's constants."""

    bias: Any
    """int32, flat."""
    multiplier: Any
    """float32, likewise."""
    limits: Any
    """float32 `[zero_point, clip_min, clip_max]`."""
    follow: Follow | None = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """Flat output buffers, and where a pixel's first channel of a block goes in them."""

    buffer: Any | None
    """u8 or int16 codes, or float32 for logits; None where only narrow codes are kept."""
    place: Any
    narrow: Any | None = None
    """u8 codes of a requantization that follows."""
    narrow_place: Any = None

    @property
    def dtype(self) -> str:
        """Type of the layer's own output."""
        return "int16" if self.buffer is None else str(self.buffer.dtype)


@dataclass(frozen=True, slots=True)
class Epilogue(ABC):
    """Scales, rounds, clips and stores."""

    @abstractmethod
    def emit(
        self, sums: Sequence[Any], constant: Any, scaling: Scaling, outputs: Outputs, real: int
    ) -> None:
        """Emit one pixel's outputs.

        Args:
            sums: int32 vectors of one block of channels, in order.
            constant: Where the block's constants start in `scaling`.
            scaling: Buffers of the constants.
            outputs: Where results go.
            real: How many of the block's channels exist.
        """


class PlainEpilogue(Epilogue):
    """One vector at a time, in plain operations: any target."""

    def emit(
        self, sums: Sequence[Any], constant: Any, scaling: Scaling, outputs: Outputs, real: int
    ) -> None:
        """Emit one pixel's outputs."""
        start = 0
        for total in sums:
            lanes = lanes_of(total)
            if start >= real:
                return
            total = total + load(scaling.bias, constant + start, lanes)
            multiplier = load(scaling.multiplier, constant + start, lanes)
            count = min(lanes, real - start)
            if outputs.dtype == "float32":
                result = T.Cast(vector_type("float32", lanes), total) * multiplier
                store_first(result, outputs.buffer, outputs.place + start, count)
            else:
                codes = requantized(total, multiplier, scaling.limits, lanes)
                self._emit_codes(codes, scaling.follow, outputs, start, count)
            start += lanes

    def _emit_codes(
        self, codes: Any, follow: Follow | None, outputs: Outputs, start: int, count: int
    ) -> None:
        """Emit the store of one vector of codes, float32 integers, and of what follows."""
        lanes = lanes_of(codes)
        if follow is not None and follow.other is not None:
            own = T.nearbyint(codes * spread(follow.scales[0], lanes))
            other = load(follow.other, outputs.place + start, lanes)
            other = T.Cast(vector_type("float32", lanes), other)
            codes = own + T.nearbyint(other * spread(follow.scales[1], lanes))
            low, high = (spread(follow.limits[index], lanes) for index in (0, 1))
            codes = T.min(T.max(codes, low), high)
        if outputs.buffer is not None:
            stored = narrowed(codes, outputs.dtype, lanes)
            store_first(stored, outputs.buffer, outputs.place + start, count)
        if follow is not None and outputs.narrow is not None:
            limits = [follow.limits[index] for index in (2, 3, 4)]
            narrow = requantized(codes, spread(follow.scales[2], lanes), limits, lanes)
            place = outputs.narrow_place + start
            store_first(narrowed(narrow, "uint8", lanes), outputs.narrow, place, count)


class Avx2Epilogue(Epilogue):
    """Rounds as it converts and clips as it packs: five instructions for eight channels."""

    def emit(
        self, sums: Sequence[Any], constant: Any, scaling: Scaling, outputs: Outputs, real: int
    ) -> None:
        """Emit one pixel's outputs."""
        lanes = 8
        totals, multipliers = [], []
        for index, total in enumerate(sums):
            totals.append(total + load(scaling.bias, constant + index * lanes, lanes))
            multipliers.append(load(scaling.multiplier, constant + index * lanes, lanes))
        if outputs.dtype == "float32":
            _emit_logits(totals, multipliers, outputs, real)
            return
        codes = [
            _moved(rounded(total, multiplier), scaling.limits[0])
            for total, multiplier in zip(totals, multipliers, strict=True)
        ]
        follow = scaling.follow
        limits: tuple[Any, Any] | None = (scaling.limits[1], scaling.limits[2])
        if follow is not None:
            codes = [_between(code, scaling.limits[1], scaling.limits[2]) for code in codes]
            if follow.other is not None:
                codes = self._added(codes, follow, outputs, real)
            limits = None
        if outputs.buffer is not None:
            _emit_packed(codes, limits, outputs.buffer, outputs.place, real)
        if follow is not None and outputs.narrow is not None:
            scale = T.broadcast(follow.scales[2], lanes)
            narrow = [_moved(rounded(code, scale), follow.limits[2]) for code in codes]
            narrow_limits = (follow.limits[3], follow.limits[4])
            _emit_packed(narrow, narrow_limits, outputs.narrow, outputs.narrow_place, real)

    def _added(
        self, codes: Sequence[Any], follow: Follow, outputs: Outputs, real: int
    ) -> list[Any]:
        """Return the clipped sums of the codes and the other tensor's."""
        own, scale = (T.broadcast(follow.scales[index], 8) for index in (0, 1))
        added = []
        for index, code in enumerate(codes):
            if 8 * index >= real:
                break
            other = T.Cast("int32x8", load(follow.other, outputs.place + 8 * index, 8))
            total = rounded(code, own) + rounded(other, scale)
            added.append(_between(total, follow.limits[0], follow.limits[1]))
        return added


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


def _emit_packed(
    codes: Sequence[Any], limits: tuple[Any, Any] | None, output: Any, place: Any, real: int
) -> None:
    """Emit the store of int32 codes, clipped where they are not yet, in the output's type."""
    start = 0
    for vector in _packed(codes, str(output.dtype)):
        count = lanes_of(vector)
        if start < real:
            clipped = vector if limits is None else _between(vector, *limits)
            if element_type(clipped) != str(output.dtype):
                clipped = T.Cast(vector_type(str(output.dtype), count), clipped)
            store_first(clipped, output, place + start, min(count, real - start))
        start += count


def _between(vector: Any, low: Any, high: Any) -> Any:
    """Return a vector clipped to float32 limits that its type holds."""
    lanes, dtype = lanes_of(vector), element_type(vector)
    lowest, highest = (T.broadcast(T.Cast(dtype, limit), lanes) for limit in (low, high))
    return T.min(T.max(vector, lowest), highest)


def _moved(codes: Any, zero_point: Any) -> Any:
    return codes + T.broadcast(T.Cast("int32", zero_point), lanes_of(codes))


def _emit_logits(
    totals: Sequence[Any], multipliers: Sequence[Any], outputs: Outputs, real: int
) -> None:
    """Emit float32 outputs."""
    for index, (total, multiplier) in enumerate(zip(totals, multipliers, strict=True)):
        if index * 8 < real:
            value = T.Cast("float32x8", total) * multiplier
            place = outputs.place + index * 8
            store_first(value, outputs.buffer, place, min(8, real - index * 8))
