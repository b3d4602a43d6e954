"""Schedules of float islands: what sums, sums a tile of outputs at once and in the same order.

TVM leaves a convolution of an island as it is written, one output after the other, each added to in
memory: that takes ten times and more what a tile takes that registers hold.

    before    for every output:          for what it sums:  out += x * w
    after     for every tile of outputs: for what they sum: for the tile: out += x * w

Every output adds up the same numbers in the same order, so the result is the same to the bit.
"""

from typing import Any

import tvm
from tvm.s_tir import Schedule
from tvm.tirx.analysis import undefined_vars

_LANES = 16
"""Neighbouring outputs that are summed in one vector, at most."""
_HELD = 64
"""Outputs that are summed at once, at most: eight registers of AVX2, sixteen of Arm's."""
_ROWS = 8
_SPATIAL, _REDUCED = 0, 2


def schedule_floats(function: Any) -> Any:
    """Return a TensorIR function with its sums in tiles, where neighbours lie side by side.

    What no such schedule fits stays as it is.
    """
    schedule = Schedule(tvm.IRModule({"main": function}))
    for block in schedule.get_child_blocks(schedule.get_sblock("root")):
        if _sums_neighbours(schedule.get(block)):
            tried = schedule.copy()
            try:
                _tile(tried, block)
            except (tvm.error.TVMError, RuntimeError):
                continue
            schedule = tried
    return schedule.mod["main"]


def _sums_neighbours(block: Any) -> bool:
    """Whether outputs that are neighbours in memory read what is neighbours, or the same."""
    kinds = [int(axis.iter_type) for axis in block.iter_vars]
    if block.init is None or len(block.writes) != 1 or set(kinds) != {_SPATIAL, _REDUCED}:
        return False
    last = [axis.var for axis, kind in zip(block.iter_vars, kinds, strict=True) if not kind][-1]
    written = block.writes[0].region
    if not written or not written[-1].min.same_as(last):
        return False
    uses = [[_uses(part.min, last) for part in read.region] for read in block.reads]
    return any(used[-1:] == [True] for used in uses) and not any(any(used[:-1]) for used in uses)


def _uses(expression: Any, variable: Any) -> bool:
    return any(variable.same_as(found) for found in undefined_vars(expression, []))


def _tile(schedule: Any, block: Any) -> None:
    """Move a tile of outputs inside all that is summed."""
    axes = schedule.get(block).iter_vars
    loops = schedule.get_loops(block)
    of_kind = {
        kind: [loop for loop, axis in zip(loops, axes, strict=True) if int(axis.iter_type) == kind]
        for kind in (_SPATIAL, _REDUCED)
    }
    *outer, last = of_kind[_SPATIAL]
    lanes = _divisor(_extent(schedule, last), _LANES)
    beyond, vector = schedule.split(last, [None, lanes])
    inner = [vector]
    if outer:
        place = max(range(len(outer)), key=lambda number: _extent(schedule, outer[number]))
        rows = _divisor(_extent(schedule, outer[place]), min(_ROWS, _HELD // lanes))
        outer[place], row = schedule.split(outer[place], [None, rows])
        schedule.unroll(row)
        inner = [row, vector]
    schedule.reorder(*outer, beyond, *of_kind[_REDUCED], *inner)
    schedule.vectorize(vector)
    schedule.decompose_reduction(block, of_kind[_REDUCED][0])


def _extent(schedule: Any, loop: Any) -> int:
    return int(schedule.get(loop).extent)


def _divisor(extent: int, most: int) -> int:
    """Return the largest divisor that is not above some number."""
    return next(size for size in range(min(extent, most), 0, -1) if extent % size == 0)
