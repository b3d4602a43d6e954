"""NEON without dot product: products in 16 or in 8 bits, sixteen codes of one pixel at a time.

An accumulator belongs to one pixel and one output channel; its lanes are codes, and are added up
at the end. So sixteen codes and sixteen weights are two plain loads, and no code is ever spread
over a vector. A step has four channels c, whose registers all meet the same codes:

    codes                  q0  q1  q2 ..  q15            one register
    weights of channel c   w0  w1  w2 ..  w15            one register each

    NeonWords   smlal x 2  t[i] += q[i] w[i], then += q[8+i] w[8+i]     8 lanes of 16 bits
                sadalp     every `depth` steps: 4 lanes of 32 bits += t[2i] + t[2i+1]
    NeonBytes   mla        t[i] += q[i] w[i]                           16 lanes of 8 bits
                sadalp     every `depth` steps: 8 lanes of 16 bits += t[2i] + t[2i+1]
    both        addp       at the end: the lanes of four channels become one int32x4

`NeonLong` is for transformed codes of 16 bits: `smlal` multiplies four of them, in 32 bits at once.

A lane of `NeonWords` gets two products each step. With 4 bits those are at most 2 * 105, and 32767
holds 156 of them; the class below is 128. With 2 bits a product is at most 3, and 127 holds 42.

    >>> layer = Geometry(batch=1, height=14, width=14, channels=64, out_channels=64)
    >>> choose_neon(4, 4, layer).name, choose_neon(2, 2, layer).name
    ('neon-words-d128', 'neon-bytes-d42')

Source: docs/integers.md, "Accumulation depth".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import element_type, lanes_of, load
from hardware.kernels.emitting.vectors import join, parts
from hardware.kernels.families.family import CodeDtype, Family, WeightDtype
from hardware.kernels.shapes.geometry import Geometry

_INT8_MAX, _INT16_MAX = 127, 32767
_CHANNELS = 4
_ROOM = 7
"""Accumulators and vectors of weights that fill 32 registers, four each; two hold codes."""
_FEW_STEPS = 6
"""Depth up to which the steps of one accumulator are one expression, with registers of its own."""
_DEPTH_CLASSES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Depths of 16-bit sums that get code of their own; one in between takes the class below it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FourChannels(Family):
    """What Arm's families have in common that multiply many codes of one pixel at a time."""

    code_dtype: CodeDtype
    products: int
    weight_lanes: int
    """`channels * products`."""
    channels: int = _CHANNELS
    weight_dtype: WeightDtype = "int8"
    wide_lanes: int = 4
    step_instructions: float = 4.0
    weight_loads: float = 4.0
    lone_weight_loads: float = 4.0

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return int8 codes: below 128, or shifted when they were copied."""
        vector, lanes = load(codes, position, self.products), self.products
        signed = str(codes.dtype) == "int8"
        return vector if signed else T.reinterpret(vector, dtype=f"int8x{lanes}")

    def fold(self, total: Any) -> tuple[Any, ...]:
        """Return neighbouring sums of each channel added up, in lanes twice as wide."""
        return (join([_add_pairs(part) for part in parts(T.Bind(total), _CHANNELS)]),)

    def sums_in_registers(self, vectors: int) -> int:
        """Return how many accumulators of four registers leave room for the weights."""
        of_one_expression = 0 if self.depth > _FEW_STEPS else 1 if self.depth == 1 else 2
        return max(1, _ROOM - vectors - of_one_expression)

    def most_sums(self, vectors: int) -> int:
        """Return the same: spilling costs more than a larger tile saves."""
        return self.sums_in_registers(vectors)


@dataclass(frozen=True, kw_only=True, slots=True)
class NeonWords(FourChannels):
    """`smlal`: 8 products an instruction, summed in 16 bits and widened by `sadalp`."""

    name: str
    depth: int
    products: int
    """16, or 8 where that wastes fewer products."""
    accumulator: str = "int16x32"
    carried: tuple[str, ...] = ("int32x16",)
    step_instructions: float = 8.0

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + products, eight sums for each channel."""
        return self.add_products(total, code, weight, self.products)

    def add_products(self, total: Any | None, code: Any, weight: Any, products: int) -> Any:
        """Return total + products of so many codes, eight sums for each channel."""
        eights = products // 8
        # Bound, and `total` named once: TVM walks every copy of an expression, in every pass.
        weight = T.Bind(weight)
        for index, eight in enumerate(parts(code, eights)):
            weights = [parts(part, eights)[index] for part in parts(weight, _CHANNELS)]
            term = _widened([eight] * _CHANNELS) * _widened(weights)
            total = term if total is None else total + term
        return total

    def finish(self, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return one sum for each channel."""
        return (_add_lanes(parts(carried[0], _CHANNELS)),)


@dataclass(frozen=True, kw_only=True, slots=True)
class NeonBytes(FourChannels):
    """`mla`: 16 products an instruction, summed in 8 bits, then by `sadalp` in 16."""

    name: str
    depth: int
    most_steps: int
    """Steps of a sum that 16 bits hold."""
    code_dtype: CodeDtype = "uint8"
    products: int = 16
    weight_lanes: int = 64
    accumulator: str = "int8x64"
    carried: tuple[str, ...] = ("int16x32",)

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + products, sixteen sums for each channel."""
        term = join([code] * _CHANNELS) * weight
        return term if total is None else total + term

    def finish(self, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return one sum for each channel."""
        return (_add_lanes([_add_pairs(part) for part in parts(carried[0], _CHANNELS)]),)

    def fits(self, steps: int) -> bool:
        """Return whether 16 bits hold the sum of so many steps."""
        return steps <= self.most_steps


@dataclass(frozen=True, kw_only=True, slots=True)
class NeonLong(FourChannels):
    """`smlal` on words: 4 products an instruction, summed in 32 bits; codes are transformed."""

    name: str
    code_dtype: CodeDtype = "int16"
    products: int = 8
    weight_dtype: WeightDtype = "int16"
    weight_lanes: int = 32
    accumulator: str = "int32x16"
    step_instructions: float = 8.0

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return eight codes."""
        return load(codes, position, self.products)

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + products, four sums for each channel."""
        weight = T.Bind(weight)
        for half, four in enumerate(parts(code, 2)):
            weights = [parts(part, 2)[half] for part in parts(weight, _CHANNELS)]
            term = _widened([four] * _CHANNELS) * _widened(weights)
            total = term if total is None else total + term
        return total

    def finish(self, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return one sum for each channel."""
        return (_add_lanes(parts(carried[0], _CHANNELS)),)


def choose_neon(weight_bits: int, activation_bits: int, geometry: Geometry) -> Family:
    """Return the cheapest family that is exact for a bit pair in one layer.

    Args:
        weight_bits: Weight codes are in +-(2^(weight_bits - 1) - 1).
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
        geometry: The layer's shapes.
    """
    product = largest_code(activation_bits) * (2 ** (weight_bits - 1) - 1)
    steps = geometry.runs * ceil(geometry.run_codes / 16)
    depth = _INT8_MAX // product
    if depth >= 2:
        # A lane of 16 bits gets two products of each step.
        family = NeonBytes(
            name=f"neon-bytes-d{depth}", depth=depth, most_steps=_INT16_MAX // (2 * product)
        )
        if family.fits(steps):
            return family
    words = choose_neon_words(product, geometry)
    return replace(words, code_dtype="int8" if activation_bits == 8 else "uint8")


def choose_neon_words(largest_product: int, geometry: Geometry) -> NeonWords:
    """Return the family whose sums of 16 bits hold products up to a magnitude.

    Args:
        largest_product: The magnitude.
        geometry: The layer's shapes.
    """
    products = 16 if geometry.run_codes % 16 in (0, *range(9, 16)) else 8
    depth = neon_depth(largest_product, products)
    return NeonWords(
        name=f"neon-words-d{depth}",
        depth=depth,
        code_dtype="uint8",
        products=products,
        weight_lanes=_CHANNELS * products,
    )


def neon_depth(largest_product: int, products: int) -> int:
    """Return how many steps of so many products 16 bits hold: one that has code of its own."""
    held = _INT16_MAX // largest_product // (products // 8)
    return max(known for known in _DEPTH_CLASSES if known <= held)


def largest_code(activation_bits: int) -> int:
    """Return the largest magnitude of signed codes: 8 bits less 128, narrower ones as they are."""
    return 128 if activation_bits == 8 else 2**activation_bits - 1


def _add_pairs(sums: Any) -> Any:
    """Return the sums of neighbouring lanes, twice as wide; with an addition it is `sadalp`."""
    bits, lanes = int(element_type(sums).removeprefix("int")), lanes_of(sums)
    return T.call_llvm_pure_intrin(
        T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.saddlp"),
        sums,
        dtype=f"int{2 * bits}x{lanes // 2}",
    )


def _widened(vectors: Sequence[Any]) -> Any:
    """Return vectors of int8 as one of int16, or those of int16 as one of int32."""
    whole = join(vectors)
    bits = 2 * int(element_type(whole).removeprefix("int"))
    return T.Cast(f"int{bits}x{lanes_of(whole)}", whole)


def _add_lanes(sums: Sequence[Any]) -> Any:
    """Return int32x4 of four int32x4: all lanes of each added up."""
    addp = T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.addp")
    while len(sums) > 1:
        pairs = zip(sums[0::2], sums[1::2], strict=True)
        sums = [T.call_llvm_pure_intrin(addp, *pair, dtype="int32x4") for pair in pairs]
    return sums[0]
