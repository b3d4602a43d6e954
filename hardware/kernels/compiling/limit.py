"""The limit of a family: its steps alone, with everything they read in the first cache.

The share of it that a layer reaches says how much time goes elsewhere: into loops, epilogues, tiles
that do not fit the image, and memory.

    for turn in range(_ROUNDS):                      # 200 times the same sums
        for outer in range(steps // chunk):
            for middle, ahead:                       # `chunk` steps, up to 3 written out
                for pixel in range(_pixels):         # 1, or as many as fill the registers
                    code = read_code(...)
                    for vector in range(_VECTORS):   # 4 vectors of `channels` sums
                        narrow[pixel, vector] = multiply_add(narrow[...], code, weight)
            carried[...] += fold(narrow[...])        # in a family with a depth
        sums += finish(carried)

One call of AVX-VNNI has 200 * 96 steps of 2 pixels, 4 vectors of 8 channels and 4 codes: 4,915,200
products.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.compiling.amx_limit import (
    AMX_LIMIT_PRODUCTS,
    amx_limit_arguments,
    emit_amx_limit,
)
from hardware.kernels.emitting.emit import Parameter, function, load, local_vector, store
from hardware.kernels.families.amx import Amx
from hardware.kernels.families.family import Family

_STEPS = 96
"""Most steps of one sum: with their weights, 12 KiB where a vector has 32 bytes."""
_VECTORS = 4
_BYTES = 4096
_ROUNDS = 200
_INSIDE = 3


def limit_kernel(symbol: str, family: Family) -> Any:
    """Return a TensorIR function that computes the same sums many times.

    Its arguments: codes, weights, the family's lookup table, if any, and int32 sums.
    """
    names = ("codes", "weights", "lookup", "sums")
    shapes = {name: array for name, array in zip(names, limit_arguments(family), strict=True)}
    parameters = [
        Parameter(name=name, shape=array.shape, dtype=str(array.dtype))
        for name, array in shapes.items()
        if array is not None
    ]

    def body(codes: Any, weights: Any, *rest: Any) -> None:
        lookup, sums = (rest[0] if len(rest) == 2 else None), rest[-1]
        with T.serial(_ROUNDS) as turn:
            # Where the codes are depends on the turn, so that no turn can be left out.
            _emit_sums(family, codes, turn % 2 * (_BYTES // 2), weights, lookup, sums)

    return function(symbol, parameters, emit_amx_limit if isinstance(family, Amx) else body)


def limit_products(family: Family) -> float:
    """Return the products of a layer that one call stands for."""
    if isinstance(family, Amx):
        return AMX_LIMIT_PRODUCTS
    products = _ROUNDS * _steps(family) * family.products * family.channels * _VECTORS
    return _pixels(family) * products * family.stands_for


def limit_arguments(family: Family) -> Sequence[npt.NDArray[Any] | None]:
    """Return arrays for one call: codes, weights, lookup table or None, sums; all zeros."""
    if isinstance(family, Amx):
        return amx_limit_arguments()
    dtype = "uint8" if family.code_dtype in ("uint8", "pairs") else family.code_dtype
    wide = family.channels * _VECTORS * _pixels(family)
    weights = (_steps(family), _VECTORS, family.weight_lanes)
    return (
        np.zeros(2 * _BYTES, dtype),
        np.zeros(weights, family.weight_dtype),
        family.lookup_table(),
        np.zeros(wide, np.int32),
    )


def _emit_sums(
    family: Family, codes: Any, start: Any, weights: Any, lookup: Any | None, sums: Any
) -> None:
    carried_types = family.carried if family.depth else (family.accumulator,)
    vectors = range(_VECTORS * _pixels(family))
    carried = [[_zeros(kind) for kind in carried_types] for _ in vectors]
    chunk = _chunk(family)
    inside = next(n for n in range(min(chunk, _INSIDE), 0, -1) if chunk % n == 0)
    with T.serial(_steps(family) // chunk) as outer:
        narrow = [_zeros(family.accumulator) if family.depth else carried[v][0] for v in vectors]
        with T.serial(chunk // inside) as middle:
            for ahead in range(inside):
                step = outer * chunk + middle * inside + ahead
                for number in vectors:
                    pixel, vector = divmod(number, _VECTORS)
                    if not vector:
                        first = start + pixel * (_steps(family) * family.products)
                        code = family.read_code(codes, first + step * family.products, lookup)
                    place = (step * _VECTORS + vector) * family.weight_lanes
                    weight = family.read_weight(weights, place)
                    total = family.multiply_add(_value(narrow[number]), code, weight)
                    store(narrow[number], 0, total, int(narrow[number].shape[0]))
        for vector in vectors if family.depth else ():
            for wide, part in zip(
                carried[vector], family.fold(_value(narrow[vector])), strict=True
            ):
                store(wide, 0, _value(wide) + part, int(wide.shape[0]))
    lanes = family.wide_lanes
    for vector in vectors:
        for index, part in enumerate(family.finish(tuple(_value(w) for w in carried[vector]))):
            place = (vector * family.wide_vectors + index) * lanes
            store(sums, place, load(sums, place, lanes) + part, lanes)


def _pixels(family: Family) -> int:
    """Return the pixels of a step, each with accumulators of its own."""
    return max(1, family.most_sums(_VECTORS) // _VECTORS) if family.waits else 1


def _chunk(family: Family) -> int:
    return min(family.depth or _STEPS, _STEPS)


def _steps(family: Family) -> int:
    """Return the steps of one sum: whole chunks."""
    return _STEPS // _chunk(family) * _chunk(family)


def _zeros(kind: str) -> Any:
    dtype, _, lanes = kind.partition("x")
    buffer = local_vector(dtype, int(lanes))
    store(buffer, 0, T.broadcast(getattr(T, dtype)(0), int(lanes)), int(lanes))
    return buffer


def _value(buffer: Any) -> Any:
    return load(buffer, 0, prod(int(size) for size in buffer.shape))
