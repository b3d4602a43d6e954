"""Seconds of the slow tests: measured once, kept in a file, and what CI chooses its list by.

A pytest plugin: `python -m pytest -p tests.seconds -m slow`, with one of

--measure       writes what every test that was run took into `seconds.json` beside this file
--within-s N    runs the quickest of the marked tests whose measured seconds add up to at most N

The list is the same for everyone: it comes from the file, never from this machine. A marked test
that the file does not know ends the run with a sentence, so that nobody forgets to measure it.
"""

import json
import os
import platform
from pathlib import Path
from typing import Any

import pytest

_FILE = Path(__file__).with_name("seconds.json")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("seconds")
    group.addoption("--measure", action="store_true", help=f"write seconds into {_FILE.name}")
    group.addoption("--within-s", type=float, help="run marked tests of this many seconds at most")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--measure"):
        config.pluginmanager.register(_Measuring(), "seconds-measuring")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    within_s: float | None = config.getoption("--within-s")
    if within_s is None:
        return
    marked = {item.nodeid for item in items if item.get_closest_marker("slow")}
    left_out = marked - choose(sorted(marked), read_seconds(), within_s)
    deselected = [item for item in items if item.nodeid in left_out]
    items[:] = [item for item in items if item.nodeid not in left_out]
    config.hook.pytest_deselected(items=deselected)


def read_seconds() -> dict[str, float]:
    """Return the seconds of every slow test by its pytest id.

    What the measuring machine could not run (other instructions, say) counts nothing: it is always
    among the chosen, for machines that can.
    """
    document = json.loads(_FILE.read_text(encoding="utf-8"))
    return {**dict.fromkeys(document["skipped"], 0.0), **document["seconds"]}


def choose(names: list[str], seconds: dict[str, float], within_s: float) -> set[str]:
    """Return the quickest tests that take at most `within_s` together.

    Raises:
        pytest.UsageError: a test has no measured seconds.
    """
    unknown = [name for name in names if name not in seconds]
    if unknown:
        raise pytest.UsageError(
            f"{len(unknown)} slow tests have no measured seconds in {_FILE.name}, {unknown[0]} "
            "among them: run make seconds"
        )
    chosen, spent_s = set(), 0.0
    for name in sorted(names, key=lambda name: (seconds[name], name)):
        spent_s += seconds[name]
        if spent_s > within_s:
            break
        chosen.add(name)
    return chosen


class _Measuring:
    """Adds up set-up, call and tear-down of every test, and writes the sums at the end."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._skipped: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if report.skipped:
            self._skipped.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        if "PYTEST_XDIST_WORKER" in os.environ:
            return
        ran = {name: round(s, 1) for name, s in self._seconds.items() if name not in self._skipped}
        document: dict[str, Any] = {
            "machine": _machine(),
            "seconds": dict(sorted(ran.items())),
            "skipped": sorted(self._skipped),
        }
        _FILE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"
