"""Tables for a terminal of any width: as they are where they fit, else a block of lines a row."""

import os
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table

_WIDEST = 1000


def print_whole(*tables: RenderableType) -> None:
    """Print tables on stdout so that nothing of a cell is cut.

    Args:
        tables: Whatever rich prints, tables among them.
    """
    console = Console(markup=False)  # a layer or a board may be called anything
    has_width = console.is_terminal or "COLUMNS" in os.environ
    for table in _each(tables):
        needed = _needed(table, console) if isinstance(table, Table) else 0
        if not isinstance(table, Table) or needed <= console.width:
            console.print(table)
        elif has_width:
            _print_blocks(table, console)
        else:  # a file or a pipe has no width
            Console(width=needed, markup=False).print(table)


def _each(tables: tuple[RenderableType, ...]) -> Iterator[RenderableType]:
    for table in tables:
        if isinstance(table, Group):
            yield from _each(tuple(table.renderables))
        else:
            yield table


def _needed(table: Table, console: Console) -> int:
    """Return the columns that the cells need; title and caption are wrapped anyway."""
    bare = Table(box=table.box, padding=table.padding, show_header=table.show_header)
    for column in table.columns:
        bare.add_column(column.header, no_wrap=True)
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        bare.add_row(*cells)
    return console.measure(bare, options=console.options.update(max_width=_WIDEST)).maximum


def _print_blocks(table: Table, console: Console) -> None:
    """Print each row as its first cell and, below it, `header: cell` for each other one."""
    if table.title:
        console.print(table.title, soft_wrap=True)
    headers = [_plain(column.header) for column in table.columns]
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        first, *others = map(_plain, cells)
        console.print(first or "-", style="bold", soft_wrap=True, markup=False, highlight=False)
        for header, cell in zip(headers[1:], others, strict=True):
            if cell:
                line = f"  {header}: {cell}" if header else f"  {cell}"
                console.print(line, soft_wrap=True, markup=False, highlight=False)
    if table.caption:
        console.print(table.caption, soft_wrap=True)


def _plain(cell: RenderableType) -> str:
    return " ".join(str(cell).split())
