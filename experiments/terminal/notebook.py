"""A live line in a notebook: one output of the cell, whose text is replaced."""

from collections.abc import Callable
from typing import Any

from rich.console import Console


def notebook_line() -> Callable[[str], None] | None:
    """Return what shows a line in the running cell in place of the one before; None elsewhere.

    A notebook is no terminal: what moves a cursor there would be kept in the file as it is.
    """
    if not Console().is_jupyter:
        return None
    from IPython.display import display  # is there, as its kernel runs us

    shown: Any = None

    def show(line: str) -> None:
        nonlocal shown
        if shown is None:
            shown = display({"text/plain": line}, raw=True, display_id=True)
        else:
            shown.update({"text/plain": line}, raw=True)

    return show
