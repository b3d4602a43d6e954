"""Strides: which values an operator that only moves data takes, written as nested loops."""

from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, slots=True)
class Strides:
    """Places of a flat tensor, as nested loops count through them, the innermost last.

    Every second of six values, twice:

        >>> Strides(offset=0, sizes=(2, 3), steps=(0, 2)).places().tolist()
        [0, 2, 4, 0, 2, 4]
    """

    offset: int
    """The first place."""
    sizes: tuple[int, ...]
    """How often each loop goes round."""
    steps: tuple[int, ...]
    """How far it goes each time; may be negative, or zero where values are repeated."""

    def places(self) -> npt.NDArray[np.int64]:
        """Return all places in order, int64 `[product of sizes]`."""
        places = np.full((1,) * len(self.sizes), self.offset, np.int64)
        for axis, (size, step) in enumerate(zip(self.sizes, self.steps, strict=True)):
            shape = [size if one == axis else 1 for one in range(len(self.sizes))]
            places = places + (np.arange(size) * step).reshape(shape)
        return places.reshape(-1)

    @property
    def count(self) -> int:
        """How many places there are."""
        return prod(self.sizes)

    @property
    def is_whole(self) -> bool:
        """Whether it counts up from the first place and leaves none out."""
        return self.offset == 0 and (self.count == 1 or self.steps == (1,))


def strides_of(places: npt.NDArray[np.int64]) -> Strides | None:
    """Return the fewest nested loops that count through places `[n]`, None where there are none.

    >>> strides_of(np.array([3, 4, 13, 14, 23, 24]))
    Strides(offset=3, sizes=(3, 2), steps=(10, 1))
    >>> strides_of(np.array([0, 1, 3])) is None
    True
    """
    offset, rest = int(places[0]), places - places[0]
    sizes: list[int] = []
    steps: list[int] = []
    while len(rest) > 1:
        step = int(rest[1])
        ends = np.flatnonzero(np.diff(rest) != step)
        run = int(ends[0]) + 1 if len(ends) else len(rest)
        if len(rest) % run:
            return None
        runs = rest.reshape(-1, run)
        if (runs != runs[:, :1] + step * np.arange(run)).any():
            return None
        sizes.insert(0, run)
        steps.insert(0, step)
        rest = runs[:, 0]
    return Strides(offset=offset, sizes=tuple(sizes), steps=tuple(steps))
