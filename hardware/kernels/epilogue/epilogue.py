"""Epilogues: from a tile's integer sums to codes or logits in the output tensor.

    sums                   int32        one vector after another, or all of a pixel together
      + bias               int32        `Scaling.bias`
      * multiplier         float32      `Scaling.multiplier`; logits are stored here
      round                             to nearest, ties to even
      + zero_point                      `Scaling.limits`
      clip                              to clip_min .. clip_max
      pack                 u8, int16    several vectors become one
      store                             `Outputs.buffer`

A layer may compute what follows it as well (`Follow`), while its wide codes are in registers:

    wide codes
      round(* scales[0]) + round(other * scales[1])    an addition, if any; clipped, then stored
      round(* scales[2]) + zero_point, clip, pack      narrow codes, if any; stored beside them

Where 11 of 16 lanes exist, they are stored in pieces of 8, 2 and 1 (`_store_first`).

Source: docs/integers.md, "Requantization".
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.avx2_pack import pack_bytes, pack_words, rescale
from hardware.kernels.emitting.emit import (
    element_type,
    lanes_of,
    load,
    local_vector,
    splat,
    store,
    vector_type,
)
from hardware.kernels.emitting.vectors import parts
from hardware.kernels.epilogue.requantize import narrow_codes, requantize_vector


@dataclass(frozen=True, slots=True)
class Follow:
    """Buffers of what a layer computes from its wide codes before it stores them."""

    other: Any | None
    """int16 tensor that is added, None without an addition."""
    scales: Any
    """float32 `[own, other, narrow]`: multipliers of the addition and of the requantization."""
    limits: Any
    """float32 `[clip_min, clip_max, zero_point, clip_min, clip_max]`: two of the sum, then three of
    the narrow codes."""


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
class EmitEpilogue(ABC):
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


class PlainEpilogue(EmitEpilogue):
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
                _store_first(result, outputs.buffer, outputs.place + start, count)
            else:
                codes = requantize_vector(total, multiplier, scaling.limits, lanes)
                self._emit_codes(codes, scaling.follow, outputs, start, count)
            start += lanes

    def _emit_codes(
        self, codes: Any, follow: Follow | None, outputs: Outputs, start: int, count: int
    ) -> None:
        """Emit the store of one vector of codes, float32 integers, and of what follows."""
        lanes = lanes_of(codes)
        if follow is not None and follow.other is not None:
            own = T.nearbyint(codes * splat(follow.scales[0], lanes))
            other = load(follow.other, outputs.place + start, lanes)
            other = T.Cast(vector_type("float32", lanes), other)
            codes = own + T.nearbyint(other * splat(follow.scales[1], lanes))
            low, high = (splat(follow.limits[index], lanes) for index in (0, 1))
            codes = T.min(T.max(codes, low), high)
        if outputs.buffer is not None:
            stored = narrow_codes(codes, outputs.dtype, lanes)
            _store_first(stored, outputs.buffer, outputs.place + start, count)
        if follow is not None and outputs.narrow is not None:
            limits = [follow.limits[index] for index in (2, 3, 4)]
            narrow = requantize_vector(codes, splat(follow.scales[2], lanes), limits, lanes)
            place = outputs.narrow_place + start
            _store_first(narrow_codes(narrow, "uint8", lanes), outputs.narrow, place, count)


class PackedEpilogue(EmitEpilogue):
    """All vectors of a pixel together: rounds as it converts, and clips as it packs."""

    lanes: int
    """Lanes of one int32 vector."""

    @abstractmethod
    def rescale(self, values: Any, multiplier: Any) -> Any:
        """Return rint(f32(values) * multiplier) as int32, saturated or nearly so.

        Args:
            values: int32 vector.
            multiplier: float32 vector.
        """

    @abstractmethod
    def pack_bytes(self, codes: Sequence[Any]) -> Any:
        """Return the codes of four vectors as one of uint8, in order, as the target saturates."""

    @abstractmethod
    def pack_pair(self, codes: Sequence[Any], dtype: str) -> Any:
        """Return the codes of two vectors as one of int16, or of `dtype`, likewise."""

    def add(self, left: Any, right: Any) -> Any:
        """Return the sum of two results of `rescale`, or of one and a zero point.

        It is the plain sum where results of `rescale` are bounded above.
        """
        return left + right

    def pack(self, codes: Sequence[Any], dtype: str) -> list[Any]:
        """Return all codes as few vectors of the output's type, of int16 or of int32, in order."""
        result, at = [], 0
        while len(codes) - at >= 4 and dtype == "uint8":
            result.append(self.pack_bytes(codes[at : at + 4]))
            at += 4
        while len(codes) - at >= 2:
            result.append(self.pack_pair(codes[at : at + 2], dtype))
            at += 2
        return [*result, *codes[at:]]

    def emit(
        self, sums: Sequence[Any], constant: Any, scaling: Scaling, outputs: Outputs, real: int
    ) -> None:
        """Emit one pixel's outputs."""
        lanes = self.lanes
        vectors = [one for total in sums for one in parts(total, lanes_of(total) // lanes)]
        totals, multipliers = [], []
        for index, total in enumerate(vectors):
            totals.append(total + load(scaling.bias, constant + index * lanes, lanes))
            multipliers.append(load(scaling.multiplier, constant + index * lanes, lanes))
        if outputs.dtype == "float32":
            _emit_logits(totals, multipliers, outputs, real)
            return
        codes = [
            self._shift(self.rescale(total, multiplier), scaling.limits[0])
            for total, multiplier in zip(totals, multipliers, strict=True)
        ]
        follow = scaling.follow
        limits: tuple[Any, Any] | None = (scaling.limits[1], scaling.limits[2])
        if follow is not None:
            codes = [_clip(code, scaling.limits[1], scaling.limits[2]) for code in codes]
            if follow.other is not None:
                codes = self._with_other(codes, follow, outputs, real)
            limits = None
        if outputs.buffer is not None:
            self._emit_packed(codes, limits, outputs.buffer, outputs.place, real)
        if follow is not None and outputs.narrow is not None:
            scale = T.broadcast(follow.scales[2], lanes)
            narrow = [self._shift(self.rescale(code, scale), follow.limits[2]) for code in codes]
            narrow_limits = (follow.limits[3], follow.limits[4])
            self._emit_packed(narrow, narrow_limits, outputs.narrow, outputs.narrow_place, real)

    def _shift(self, codes: Any, zero_point: Any) -> Any:
        return self.add(codes, T.broadcast(T.Cast("int32", zero_point), self.lanes))

    def _with_other(
        self, codes: Sequence[Any], follow: Follow, outputs: Outputs, real: int
    ) -> list[Any]:
        """Return the clipped sums of the codes and the other tensor's."""
        own, scale = (T.broadcast(follow.scales[index], self.lanes) for index in (0, 1))
        sums = []
        for index, code in enumerate(codes):
            start = self.lanes * index
            if start >= real:
                break
            other = load(follow.other, outputs.place + start, self.lanes)
            other = self.rescale(T.Cast(vector_type("int32", self.lanes), other), scale)
            total = self.add(self.rescale(code, own), other)
            sums.append(_clip(total, follow.limits[0], follow.limits[1]))
        return sums

    def _emit_packed(
        self,
        codes: Sequence[Any],
        limits: tuple[Any, Any] | None,
        output: Any,
        place: Any,
        real: int,
    ) -> None:
        """Emit the store of int32 codes, clipped where they are not yet, in the output's type."""
        start = 0
        for vector in self.pack(codes, str(output.dtype)):
            count = lanes_of(vector)
            if start < real:
                clipped = vector if limits is None else _clip(vector, *limits)
                if element_type(clipped) != str(output.dtype):
                    clipped = T.Cast(vector_type(str(output.dtype), count), clipped)
                _store_first(clipped, output, place + start, min(count, real - start))
            start += count


class Avx2Epilogue(PackedEpilogue):
    """Five instructions for eight channels."""

    lanes = 8

    def rescale(self, values: Any, multiplier: Any) -> Any:
        """Return the codes as the conversion rounds them."""
        return rescale(values, multiplier)

    def pack_bytes(self, codes: Sequence[Any]) -> Any:
        """Return uint8x32."""
        return pack_bytes(codes)

    def pack_pair(self, codes: Sequence[Any], dtype: str) -> Any:
        """Return int16x16."""
        return pack_words(*codes)


def _store_first(vector: Any, output: Any, place: Any, count: int) -> None:
    """Emit the store of the first `count` lanes."""
    lanes, dtype = lanes_of(vector), str(output.dtype)
    if count >= lanes:
        store(output, place, vector, lanes)
        return
    whole = local_vector(dtype, lanes)
    store(whole, 0, vector, lanes)
    start = 0
    while start < count:
        piece = 1 << ((count - start).bit_length() - 1)
        store(output, place + start, load(whole, start, piece), piece)
        start += piece


def _clip(vector: Any, low: Any, high: Any) -> Any:
    """Return a vector clipped to float32 limits that its type holds."""
    lanes, dtype = lanes_of(vector), element_type(vector)
    lowest, highest = (T.broadcast(T.Cast(dtype, limit), lanes) for limit in (low, high))
    return T.min(T.max(vector, lowest), highest)


def _emit_logits(
    totals: Sequence[Any], multipliers: Sequence[Any], outputs: Outputs, real: int
) -> None:
    """Emit float32 outputs."""
    for index, (total, multiplier) in enumerate(zip(totals, multipliers, strict=True)):
        lanes = lanes_of(total)
        start = index * lanes
        if start < real:
            value = T.Cast(vector_type("float32", lanes), total) * multiplier
            _store_first(value, outputs.buffer, outputs.place + start, min(lanes, real - start))
