"""Progress: a live line for each stage, or a line a minute where there is nothing to show it in."""

import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed

from env.evaluating.evaluation import Evaluation
from experiments.terminal.notebook import notebook_line

_LINE_S = 60.0
"""Between two lines where there is no terminal that a live line could stand in."""
_NOTEBOOK_S = 0.5
"""Between two texts of a notebook's line, each of which is a message to a browser."""

_KNOWN_S = 1.0
"""Less says nothing of what is to come: a stage is first heard of when its first part is done."""


def remaining_text(done: int, total: int, elapsed_s: float) -> str:
    """Return how long the rest takes if it goes on as so far, for example `ETA 2:05`."""
    if done <= 0 or total <= 0 or elapsed_s < _KNOWN_S:
        return ""
    left_s = round(elapsed_s / done * max(0, total - done))
    minutes, seconds = divmod(left_s, 60)
    return f"ETA {minutes}:{seconds:02d}"


class LiveProgress:
    """Shows stages and evaluations. A context manager; does nothing when `quiet`."""

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare a line on stderr.

        Args:
            quiet: Show nothing.
            clock: Seconds, for tests.
        """
        self._clock, self._console = clock, Console(file=sys.stderr)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            Elapsed(),
            TextColumn("{task.fields[eta]}", markup=False),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._in_notebook = None if quiet else notebook_line()
        self._in_lines = not quiet and not self._console.is_terminal and not self._in_notebook
        self._last_line = clock()
        self._stages: dict[str, tuple[TaskID, float]] = {}

    def stage(self, name: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` parts of a stage are finished."""
        if name not in self._stages:
            self._stages[name] = (
                self._progress.add_task(name, total=total, eta="", note=""),
                self._clock(),
            )
        task, started = self._stages[name]
        now = self._clock()
        eta = "" if done >= total else remaining_text(done, total, now - started)
        line = ", ".join(word for word in (f"{name}: {done} of {total}", eta, note) if word)
        if self._in_lines and now - self._last_line >= _LINE_S:
            self._last_line = now
            print(line, file=sys.stderr, flush=True)
        if self._in_notebook and (done >= total or now - self._last_line >= _NOTEBOOK_S):
            self._last_line = now
            self._in_notebook(line)
        self._progress.update(task, completed=done, total=total, eta=eta, note=note)

    def evaluation(self, done: int, total: int, best: Evaluation | None) -> None:
        """Show a finished evaluation.

        Args:
            done: Real evaluations so far.
            total: The evaluation limit.
            best: The best so far inside the budget; None where nothing is.
        """
        note = "nothing inside the budget yet"
        if best is not None:
            latency_ms = best.latency_ms
            note = f"best {best.metric.text(best.score)}"
            if latency_ms is not None:
                note += f" at {latency_ms:.4f} ms"
            measurement = best.measurement
            if measurement is not None and measurement.source == "emulated":
                note += ", emulated"
        self.stage("evaluations", done, total, note)

    def __enter__(self) -> "LiveProgress":
        """Start the live line."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the live line and leave its last state on the screen."""
        self._progress.stop()
