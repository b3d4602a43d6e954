"""Progress: how something long tells how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with (done, total) while something long runs."""


def part_of(progress: Progress | None, part: int, parts: int) -> Progress | None:
    """Return what one of several equally long parts calls, so that `progress` hears of the whole.

    Args:
        progress: Called with (done, total) of all parts; None for nobody.
        part: Which part, from 0.
        parts: How many there are.
    """
    if progress is None or parts == 1:
        return progress
    whole = progress
    return lambda done, total: whole(part * total + done, parts * total)
