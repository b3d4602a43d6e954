"""Value: what is known of a tensor of the model before anything runs, for any batch.

Each tensor that depends on the network's input is followed through the operators at three sizes
of the batch, without numbers, on PyTorch's meta device. What a size makes of the batch is told from
the three, so that what exporters leave (Shape, Gather, Concat, Reshape) needs no algebra.
"""

from dataclasses import dataclass

import torch

BATCHES = (5, 7, 11)
"""Sizes of the batch that every shape is tried at."""

Probes = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Size:
    """A size of a tensor: `times` batches and `plus` more."""

    times: int
    plus: int

    def at(self, batch: int) -> int:
        """Return it for one size of the batch, which may be symbolic."""
        return self.times * batch + self.plus if self.times else self.plus


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Value:
    """One tensor of the model."""

    reference: str
    """What it is called while the network runs; a value that is passed on keeps its name."""
    probes: Probes
    """At each of `BATCHES`: on the meta device where it is computed, else with its numbers."""
    computed: bool
    """Whether it is computed from the network's input, and not from its shape alone."""
    learned: bool = False
    """Whether it is, or is a view of, a tensor of floats that the file keeps."""
    origin: str = ""
    """Name of that tensor."""
    alone: bool = False
    """Whether one operator alone reads it."""

    @property
    def fixed(self) -> bool:
        """Whether its numbers are known, and the same for every batch."""
        return not self.computed and self.probes[0] is self.probes[1]

    @property
    def ndim(self) -> int:
        """Number of sizes."""
        return self.probes[0].ndim

    @property
    def dtype(self) -> torch.dtype:
        """Type of its numbers."""
        return self.probes[0].dtype

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Its shape.

        Raises:
            ValueError: a size is no whole number of batches and a constant.
        """
        return tuple(map(size_of, zip(*(probe.shape for probe in self.probes), strict=True)))


def size_of(found: tuple[int, ...]) -> Size:
    """Return the size that is so large at each of `BATCHES`.

    Raises:
        ValueError: it grows otherwise than in line with the batch.
    """
    first, second, third = found
    low, middle, high = BATCHES
    times, left = divmod(second - first, middle - low)
    if left or third - second != times * (high - middle):
        raise ValueError(f"a size that is not so many times the batch: {found}")
    return Size(times, first - times * low)
