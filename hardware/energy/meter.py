"""Meter: the interface behind which every way of reading energy stands."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """What a meter says of one piece of work."""

    joules: float
    seconds: float
    """Time that the joules are of."""
    work_s: float
    """Time that the work took: less, where reading a counter takes a while before and after."""
    samples: int | None = None
    """Readings of power inside it; None for a meter that adds energy up by itself."""


class Recording(AbstractContextManager["Recording"]):
    """A meter at work: does pieces of work and tells afterwards what each took."""

    @abstractmethod
    def span(self, work: Callable[[], object]) -> None:
        """Do a piece of work and remember when it began and ended."""

    @abstractmethod
    def spans(self) -> Sequence[Span]:
        """Return one Span for each piece of work so far.

        Raises:
            MeterError: the meter failed meanwhile, or has nothing about that time.
        """

    def __exit__(self, *_: object) -> None:
        """Do nothing: most meters go on by themselves."""


class Meter(Protocol):
    """Something that reads energy or power."""

    @property
    def source(self) -> str:
        """Kind of the meter, stored beside every number: `rapl`, `ina3221`, `pmic`, `external`."""

    @property
    def what(self) -> str:
        """What exactly is measured: the names of the rails or zones, or the command."""

    @property
    def interval_s(self) -> float:
        """Time between two readings; decides how long a window must be."""

    def record(self) -> Recording:
        """Begin to read; leaving the context ends it."""
