"""External meter by CSV: a file to which a meter's own program appends `timestamp,watts`.

The timestamp is in seconds since the epoch, or ISO 8601 with its time zone, on a clock that agrees
with this machine's. Lines that are no such pair (a header, a comment) are passed over, further
columns too. The file is read while it grows.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from hardware.energy.errors import MeterError
from hardware.energy.meter import Recording, Span
from hardware.energy.samples import PowerSample, span_between

_PATIENCE_S = 10.0
"""Longest wait for the row after a window; programs write in blocks now and then."""
_POLL_S = 0.1


def parse_row(line: str) -> PowerSample | None:
    """Return (seconds since the epoch, watts), or None for a line that is no row."""
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) < 2:
        return None
    try:
        watts = float(cells[1])
        return _seconds(cells[0]), watts
    except ValueError:
        return None


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment.timestamp()


class CsvMeter:
    """A growing file of power samples."""

    source = "external"

    def __init__(self, file: Path) -> None:
        """Read the rows so far, which tell how often the meter samples.

        Raises:
            MeterError: no file, or fewer than two rows.
        """
        self._file = file
        self.what = str(file)
        samples = _read(file, 0)[0]
        if len(samples) < 2:
            raise MeterError(
                f"expected rows of timestamp,watts in {file}, found {len(samples)}",
                "start the meter's program first; docs/measuring.md has the format",
            )
        times = [time_s for time_s, _ in samples[-100:]]
        self.interval_s = statistics.median(later - earlier for earlier, later in pairwise(times))

    def record(self) -> "CsvRecording":
        """Remember when work is done, to look it up in the file afterwards."""
        return CsvRecording(self._file)


class CsvRecording(Recording):
    """Looks up pieces of work in the file, once it has got beyond them."""

    def __init__(self, file: Path) -> None:
        """Remember where the file ends now."""
        self._file = file
        self._last: PowerSample | None = None
        self._place = 0
        self._marks: list[tuple[float, float]] = []

    def span(self, work: Callable[[], object]) -> None:
        """Do a piece of work and remember when it began and ended."""
        begin_s = time.time()
        work()
        self._marks.append((begin_s, time.time()))

    def spans(self) -> Sequence[Span]:
        """Return what each piece of work took.

        Raises:
            MeterError: the file does not get beyond the last one.
        """
        if not self._marks:
            return ()
        end_s = self._marks[-1][1]
        samples: list[PowerSample] = [] if self._last is None else [self._last]
        limit_s = time.monotonic() + _PATIENCE_S
        while True:
            fresh, self._place = _read(self._file, self._place)
            samples += fresh
            if samples and samples[-1][0] >= end_s:
                return [span_between(samples, begin, end) for begin, end in self._marks]
            if time.monotonic() > limit_s:
                behind_s = end_s - samples[-1][0] if samples else float("inf")
                raise MeterError(
                    f"{self._file}: its last row is {behind_s:.1f} s older than the work",
                    "is the meter's program still writing, and do both clocks agree?",
                )
            time.sleep(_POLL_S)

    def __enter__(self) -> "CsvRecording":
        """Pass over what was written before."""
        earlier, self._place = _read(self._file, 0)
        self._last = earlier[-1] if earlier else None
        return self


def _read(file: Path, place: int) -> tuple[list[PowerSample], int]:
    """Return the complete rows from a byte on, and where the next begins."""
    try:
        with file.open("rb") as stream:
            stream.seek(place)
            content = stream.read()
    except OSError as error:
        raise MeterError(
            f"cannot read the meter's file {file}: {error.strerror}",
            "start the meter's program first",
        ) from None
    complete = content[: content.rfind(b"\n") + 1]
    rows = (parse_row(line) for line in complete.decode(errors="replace").splitlines())
    return [row for row in rows if row is not None], place + len(complete)
