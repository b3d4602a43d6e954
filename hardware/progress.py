"""Progress: how something long tells how far it is."""

from collections.abc import Callable

LabelledProgress = Callable[[int, int, str], None]
"""Called with (done, total, what) while something long runs."""
