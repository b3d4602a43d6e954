"""Parts of vectors: what a family takes apart and puts together.

Eight lanes, halved twice and joined again:

    vector              0  1  2  3  4  5  6  7
    parts(vector, 4)    0  1 | 2  3 | 4  5 | 6  7
    join(those)       0  1  2  3  4  5  6  7
"""

from collections.abc import Sequence
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import element_type, lanes_of


def parts(vector: Any, count: int) -> list[Any]:
    """Return a vector's `count` equal parts, in order; `count` is a power of two."""
    if count == 1:
        return [vector]
    half = f"{element_type(vector)}x{lanes_of(vector) // 2}"
    halves = (T.call_intrin(half, f"tirx.vector{which}", vector) for which in ("low", "high"))
    return [part for one in halves for part in parts(one, count // 2)]


def join(vectors: Sequence[Any]) -> Any:
    """Return equal vectors as one, in order; their number is a power of two."""
    if len(vectors) == 1:
        return vectors[0]
    middle = len(vectors) // 2
    low, high = join(vectors[:middle]), join(vectors[middle:])
    whole = f"{element_type(low)}x{2 * lanes_of(low)}"
    return T.call_intrin(whole, "tirx.vectorcombine", low, high)
