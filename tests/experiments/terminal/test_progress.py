import io
import itertools
import sys
from types import ModuleType
from typing import cast

import pytest

from experiments.terminal.progress import LiveProgress, remaining_text
from tests.experiments.evaluations import allocation, evaluation
from tests.experiments.terminal.wide_terminal import wide_terminal


@pytest.mark.parametrize(
    ("done", "total", "elapsed_s", "expected"),
    [(6, 24, 60.0, "ETA 3:00"), (0, 24, 5.0, ""), (24, 24, 60.0, "ETA 0:00")],
)
def test_remaining_time_is_what_the_rest_takes_at_the_same_pace(
    done: int, total: int, elapsed_s: float, expected: str
) -> None:
    assert remaining_text(done, total, elapsed_s) == expected


def test_a_line_a_minute_where_stderr_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    now = [0.0]
    with LiveProgress(quiet=False, clock=lambda: now[0]) as progress:
        for done in range(1, 9):
            now[0] = 20.0 * done
            progress.stage("tiles", done, 10)
    assert stream.getvalue().splitlines() == [
        "tiles: 3 of 10, ETA 1:33",
        "tiles: 6 of 10, ETA 1:07",
    ]
    with LiveProgress(quiet=True, clock=lambda: now[0]) as progress:
        now[0] += 1000.0
        progress.stage("tiles", 1, 10)
    assert len(stream.getvalue().splitlines()) == 2


class Kernel:
    """What IPython and its kernel are to us: they know themselves, and display."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> "Kernel":
        assert raw
        assert display_id
        self.update(data, raw=raw)
        return self

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        self.lines.append(data["text/plain"])


def test_a_notebook_has_one_output_that_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel, now = Kernel(), [0.0]
    monkeypatch.setitem(sys.modules, "IPython.display", cast(ModuleType, kernel))
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    with LiveProgress(quiet=False, clock=lambda: now[0]) as progress:
        for done in range(1, 5):
            now[0] += 0.3
            progress.stage("layer table", done, 4)
    assert kernel.lines == ["layer table: 2 of 4", "layer table: 4 of 4"]
    with LiveProgress(quiet=True, clock=lambda: now[0]) as progress:
        progress.stage("layer table", 4, 4)
    assert len(kernel.lines) == 2
    assert capsys.readouterr() == ("", "")


def test_nothing_is_written_where_stderr_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    for quiet in (True, False):
        with LiveProgress(quiet=quiet) as progress:
            progress.stage("layer table", 1, 2)
            item = evaluation(0, allocation(4), score=0.9, latency_ms=0.5)
            progress.evaluation(1, 24, item)
    assert stream.getvalue() == ""


def test_a_terminal_sees_evaluations_and_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = wide_terminal(monkeypatch)
    with LiveProgress(quiet=False, clock=itertools.count(0.0, 10.0).__next__) as progress:
        item = evaluation(0, allocation(4), score=0.9, latency_ms=0.5)
        progress.evaluation(1, 24, item)
    shown = stream.getvalue()
    assert "1/24" in shown
    assert "best 90.00 % at 0.5000 ms" in shown
    assert "ETA" in shown
