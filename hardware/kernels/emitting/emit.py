"""Emitting TensorIR from Python: a function over flat tensors, and what every kernel repeats.

A kernel is written as a Python function that emits statements when it is called. This one adds 1 to
ten numbers, four at a time:

    def body(source, output):                        # called once, with flat buffers
        with T.serial(tile_count(10, 4)) as tile:    # a loop of the kernel: 3 times
            start = tile_start(tile, 4, 10)          # an expression: min(tile * 4, 6)
            value = load(source, start, 4)           # four neighbours as one vector
            store(output, start, value + splat(T.int32(1), 4), 4)

    function("add_one", [Parameter(name="source", ...), Parameter(name="output", ...)], body)

A Python loop in `body` is no loop of the kernel: its iterations stand one after another. A rest
needs no code of its own: the last tile is moved back to end with the row, and computes two numbers
again, to the same values.

    number   0 1 2 3 4 5 6 7 8 9
    tile 0   # # # #
    tile 1           # # # #
    tile 2               # # # #

    >>> [int(tile_start(tile, 4, 10)) for tile in range(tile_count(10, 4))]
    [0, 4, 6]
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One tensor argument of a kernel."""

    name: str
    shape: tuple[int, ...]
    dtype: str


def function(symbol: str, parameters: Sequence[Parameter], body: Callable[..., None]) -> Any:
    """Return the TensorIR function that `body` emits.

    Args:
        symbol: Name of the compiled function.
        parameters: Its arguments, whose shapes and types the compiled function checks.
        body: Called with one flat buffer for each argument, inside the function.
    """
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(symbol)
        # No alias: storages of tensors that live at the same time are disjoint.
        T.func_attr({"global_symbol": symbol, "tirx.noalias": True})
        buffers = [T.match_buffer(T.arg(p.name, T.handle()), p.shape, p.dtype) for p in parameters]
        _align_stack()
        body(
            *(
                T.decl_buffer((prod(p.shape),), p.dtype, data=buffer.data)
                for p, buffer in zip(parameters, buffers, strict=True)
            )
        )
    return builder.get()


def _align_stack() -> None:
    """Emit a variable that makes the function's stack frame begin at a cache line.

    LLVM aligns a frame to 16 bytes, unless a variable wants more, and spills vectors of 32 bytes
    where they happen to be. One that crosses a line, or even a page, is read back many times
    slower: a kernel then takes up to 2.5 times its time in some processes, and not in others. The
    prefetch keeps the variable.
    """
    variable = T.alloc_buffer((1,), "int32x16")
    prefetch = T.llvm_lookup_intrinsic_id("llvm.prefetch")
    address = T.address_of(variable[0])
    arguments = (T.int32(0), T.int32(3), T.int32(1))  # to read it, keep it near, it is data
    T.evaluate(T.call_llvm_intrin(prefetch, address, *arguments, dtype="void"))


def load(buffer: Any, index: Any, lanes: int) -> Any:
    """Return `lanes` neighbours of a flat buffer as one vector."""
    return buffer[T.ramp(index, 1, lanes)] if lanes > 1 else buffer[index]


def store(buffer: Any, index: Any, value: Any, lanes: int) -> None:
    """Store a vector of `lanes` neighbours into a flat buffer."""
    T.buffer_store(buffer, value, [T.ramp(index, 1, lanes) if lanes > 1 else index])


def local_vector(dtype: str, lanes: int) -> Any:
    """Return a buffer for one vector, which with constant indices stays in a register.

    It has the default scope: TVM puts small buffers of this scope on the stack, and LLVM takes them
    from there into registers. A buffer of scope `local` would come from a pool, by a call, and
    every value would be written to memory as well.
    """
    return T.alloc_buffer((lanes,), dtype)


@contextmanager
def when(condition: Any) -> Iterator[None]:
    """Emit the block under a condition."""
    with T.If(condition), T.Then():
        yield


@contextmanager
def shared_grid(sizes: Sequence[int], parallel: bool) -> Iterator[tuple[Any, ...]]:
    """Emit nested loops, or one loop over all their iterations that threads share.

    Args:
        sizes: Iterations of each loop, the outermost first.
        parallel: Whether the threads of TVM's pool share them.
    """
    if not parallel:
        with T.grid(*sizes) as indices:
            yield tuple(indices) if len(sizes) > 1 else (indices,)
        return
    with T.parallel(prod(sizes)) as index:
        # Each thread runs a function of its own, with a stack frame of its own.
        _align_stack()
        places = []
        for size in reversed(sizes):
            places.append(index % size)
            index = index // size
        yield tuple(reversed(places))


def vector_type(dtype: str, lanes: int) -> str:
    """Return the name of a vector type, or of the scalar where there is one lane."""
    return f"{dtype}x{lanes}" if lanes > 1 else dtype


def lanes_of(value: Any) -> int:
    """Return how many lanes an expression has."""
    _, _, lanes = str(value.ty).partition("x")
    return int(lanes or 1)


def element_type(value: Any) -> str:
    """Return the type of an expression's lanes."""
    return str(value.ty).partition("x")[0]


def splat(scalar: Any, lanes: int) -> Any:
    """Return a vector of equal lanes, or the scalar where there is one lane."""
    return T.broadcast(scalar, lanes) if lanes > 1 else scalar


def tile_count(size: int, tile: int) -> int:
    """Return how many tiles cover `size`."""
    return -(-size // tile)


def tile_start(index: Any, tile: int, size: int) -> Any:
    """Return where a tile starts: the last one is moved back to end at `size`."""
    if size <= tile or size % tile == 0:
        return index * tile
    return T.min(index * tile, size - tile)
