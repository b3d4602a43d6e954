"""PowerRecording: a sensor of power, read again and again in a thread of its own."""

import threading
import time
from collections.abc import Callable, Sequence

from hardware.energy.errors import MeterError
from hardware.energy.meter import Recording, Span
from hardware.energy.samples import PowerSample, span_between

_PATIENCE_S = 10.0
"""Longest wait for a reading beyond a multiple of the interval: then the sensor hangs."""
_PATIENCE_INTERVALS = 20


class PowerRecording(Recording):
    """Samples watts until it is left.

    The work runs in the caller's thread: it must not hold Python's global lock for much longer
    than the interval, which calls into compiled code do not.
    """

    def __init__(self, read_w: Callable[[], float], interval_s: float) -> None:
        """Prepare; the thread starts when the context is entered.

        Args:
            read_w: Returns the present watts; raises MeterError.
            interval_s: From the beginning of one reading to that of the next.
        """
        self._read_w = read_w
        self._interval_s = interval_s
        self._samples: list[PowerSample] = []
        self._marks: list[tuple[float, float]] = []
        self._failure: MeterError | None = None
        self._news = threading.Condition()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="power", daemon=True)

    def span(self, work: Callable[[], object]) -> None:
        """Do a piece of work and remember when it began and ended."""
        self._wait_beyond(0.0)
        begin_s = time.perf_counter()
        work()
        self._marks.append((begin_s, time.perf_counter()))

    def spans(self) -> Sequence[Span]:
        """Return what each piece of work took.

        Raises:
            MeterError: a reading failed, or none comes any more.
        """
        if not self._marks:
            return ()
        self._wait_beyond(self._marks[-1][1])
        with self._news:
            samples = list(self._samples)
        return [span_between(samples, begin_s, end_s) for begin_s, end_s in self._marks]

    def __enter__(self) -> "PowerRecording":
        """Start to sample."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the thread after its present reading."""
        self._over.set()
        self._thread.join(_PATIENCE_S)

    def _sample(self) -> None:
        while not self._over.is_set():
            begun_s = time.perf_counter()
            try:
                watts = self._read_w()
            except MeterError as error:
                with self._news:
                    self._failure = error
                    self._news.notify_all()
                return
            ended_s = time.perf_counter()
            with self._news:
                # The sensor was read at some moment of the call; its middle is the best guess.
                self._samples.append(((begun_s + ended_s) / 2.0, watts))
                self._news.notify_all()
            self._over.wait(max(0.0, begun_s + self._interval_s - ended_s))

    def _wait_beyond(self, moment_s: float) -> None:
        """Wait for a sample later than a moment."""
        limit_s = _PATIENCE_S + _PATIENCE_INTERVALS * self._interval_s
        with self._news:
            there = self._news.wait_for(
                lambda: (
                    self._failure is not None
                    or (bool(self._samples) and self._samples[-1][0] >= moment_s)
                ),
                limit_s,
            )
        if self._failure is not None:
            raise self._failure
        if not there:
            raise MeterError(f"the power sensor gave no reading for {limit_s:.0f} s")
