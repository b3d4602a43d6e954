"""Progress: how something long tells how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with (done, total, what) while something long runs."""
