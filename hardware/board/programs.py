"""Programs of one session: linked libraries that were uploaded, run and timed by name."""

import contextlib
import time
from pathlib import Path

import numpy as np

from hardware.facts import TimedRepeats
from hardware.runtime.linked import LinkedProgram


class Programs:
    """What one session has loaded. Files are those of the session's own folder."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder that uploads go to."""
        self._folder = folder
        self._loaded: dict[str, LinkedProgram] = {}

    def __getitem__(self, name: str) -> LinkedProgram:
        """Return a loaded program.

        Raises:
            KeyError: nothing is loaded under this name.
        """
        return self._loaded[name]

    def load(self, name: str) -> None:
        """Load an uploaded library."""
        self._loaded[name] = LinkedProgram(self._folder / name)

    def unload(self, name: str) -> None:
        """Forget a program; its memory is freed, its code stays mapped until the session ends."""
        self._loaded.pop(name, None)
        with contextlib.suppress(FileNotFoundError):
            (self._folder / name).unlink()

    def run(self, name: str, given: str, result: str) -> None:
        """Run a program once, from one .npy file to another."""
        x = np.load(self._folder / given, allow_pickle=False)
        np.save(self._folder / result, self[name].run(x), allow_pickle=False)

    def value(self, name: str, tensor: str, result: str) -> None:
        """Write a tensor of a program, as its last run left it, to a .npy file."""
        np.save(self._folder / result, self[name].value(tensor), allow_pickle=False)

    def time(self, name: str, loops: int, repeats: int) -> TimedRepeats:
        """Return milliseconds of one execution in each repeat, and what it took altogether."""
        started, started_cpu = time.perf_counter(), time.process_time()
        values_ms = self[name].time_repeats(loops, repeats)
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
        return {"values_ms": values_ms, "wall_s": wall_s, "cpu_s": cpu_s}

    def stamp(self, name: str, executions: int, result: str) -> None:
        """Run a program with stamps and write them down."""
        np.save(self._folder / result, self[name].stamps(executions), allow_pickle=False)
