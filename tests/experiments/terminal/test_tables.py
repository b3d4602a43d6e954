"""Tables in terminals of any width: nothing of a cell is cut."""

import pytest
from rich.console import Group
from rich.table import Table

from experiments.terminal.tables import print_whole

CELLS = ("99.44 ± 0.39 %", "0.1234", "123456", "3.4/4.0", "yes")


@pytest.fixture
def table() -> Table:
    made = Table(caption="accuracy on the search split ± standard error; latency measured")
    for name in ("", "accuracy", "latency ms", "bytes", "bits w/a", "inside"):
        made.add_column(name)
    made.add_row("uniform 8", *CELLS)
    made.add_row("best found", *CELLS)
    return made


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_no_cell_is_cut(
    table: Table, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_whole("before", Group(table, table))
    lines = capsys.readouterr().out.splitlines()
    for cell in CELLS:
        assert sum(line.count(cell) for line in lines) == 4
    assert sum("…" in line for line in lines) == 0
    rows = [line for line in lines if "best found" in line]
    assert len(rows) == 2
    if columns == 200:
        assert all(cell in row for row in rows for cell in CELLS)
    if columns == 40:
        assert "  latency ms: 0.1234" in lines


def test_a_pipe_gets_lines_of_any_length(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    table = Table(*(f"column {number}" for number in range(30)))
    table.add_row(*(f"cell {number}" for number in range(30)))
    print_whole(table)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "cell 0" in line]
    assert "cell 29" in row


@pytest.mark.parametrize("columns", [None, "20"])
def test_a_name_that_looks_like_markup_is_printed_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str | None
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    table = Table("", "layer", caption="in float: blocks[/0]")
    table.add_row("[bold]best[/x]", "blocks[/0].conv")
    print_whole(table)
    printed = capsys.readouterr().out
    assert "[bold]best[/x]" in printed
    assert "blocks[/0].conv" in printed
