"""Ranges: what the numbers of a configuration may be, said at the field and checked in one way."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any

from quant.errors import BitAllocError


@dataclass(frozen=True, slots=True)
class Range:
    """What a value may be. It stands in the annotation of a field, beside its type."""

    words: str
    """For the sentence that refuses others, after `expected`."""
    admits: Callable[[Any], bool]
    """False of NaN, too."""


def at_least(least: float) -> Range:
    """Return the range from `least` on."""
    return Range(f"at least {least}", lambda value: value >= least)


def more_than(bound: float) -> Range:
    """Return the range above `bound`."""
    return Range(f"more than {bound}", lambda value: value > bound)


def at_most(most: float) -> Range:
    """Return the range up to `most`."""
    return Range(f"at most {most}", lambda value: value <= most)


def within(least: float, most: float) -> Range:
    """Return the range from `least` to `most`, both in it."""
    return Range(f"{least} to {most}", lambda value: least <= value <= most)


_MOST = 10_000_000
"""Of anything that is counted: nobody waits for more, and a slip of the keys is told at once."""
Count = Annotated[int, at_least(1), at_most(_MOST)]
Natural = Annotated[int, at_least(0), at_most(_MOST)]
Positive = Annotated[float, more_than(0)]
NotNegative = Annotated[float, Range("0 or more", lambda value: value >= 0)]
Seconds = Annotated[float, at_least(0.001), at_most(1_000_000)]
Share = Annotated[float, within(0, 1)]
PositiveShare = Annotated[float, Range("more than 0, up to 1", lambda value: 0 < value <= 1)]


_SHOWN = 40
"""Characters of a refused value."""


def check_ranges(config: Any, prefix: str, error: type[BitAllocError]) -> None:
    """Refuse a dataclass with a value outside its field's range; None is in every range.

    Args:
        config: The dataclass.
        prefix: What stands before the fields' names where a user reads them, such as `protocol.`.
        error: What is raised.

    Raises:
        BitAllocError: of the kind `error`; names the field, its range and the value.
    """
    for field in fields(config):
        value = getattr(config, field.name)
        for known in getattr(field.type, "__metadata__", ()):
            if isinstance(known, Range) and value is not None and not known.admits(value):
                found = str(value)
                short = found if len(found) <= _SHOWN else f"{found[:_SHOWN]}..."
                raise error(f"{prefix}{field.name}: expected {known.words}, found {short}")
