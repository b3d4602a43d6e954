"""Throttled timings are void: with a fake board whose clock, heat and flags are a script."""

from collections.abc import Iterator
from typing import Any

import pytest

from hardware.errors import HardwareLostError
from hardware.facts import MomentFacts
from hardware.host.remote.cooling import held_back, time_cool


class FakeBoard:
    """Gets hotter by every timing and cooler by every second; throttles above a limit."""

    def __init__(self, hot_c: float, limit_c: float, floor_c: float = 40.0) -> None:
        self.heat_c, self.limit_c, self.floor_c = hot_c, limit_c, floor_c
        self.seconds = 0.0
        self.timings = 0

    def work(self) -> int:
        self.timings += 1
        self.heat_c += 8.0
        return self.timings

    def moment(self) -> MomentFacts:
        flags = ["throttled"] if self.heat_c > self.limit_c else []
        return {"hottest_c": self.heat_c, "throttled": flags}

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.heat_c = max(self.floor_c, self.heat_c - 0.5 * seconds)

    def clock(self) -> float:
        return self.seconds

    def time(self) -> Any:
        return time_cool(self.work, self.moment, sleep=self.sleep, clock=self.clock)


def test_a_cool_board_is_timed_once_without_waiting() -> None:
    board = FakeBoard(hot_c=50.0, limit_c=80.0)
    cooled = board.time()
    assert (cooled.value, cooled.void, cooled.waited_s) == (1, (), 0.0)
    assert cooled.before["hottest_c"] == 50.0
    assert cooled.after["hottest_c"] == 58.0


def test_a_timing_that_ends_throttled_is_void_and_repeated_when_cool() -> None:
    board = FakeBoard(hot_c=75.0, limit_c=80.0)
    cooled = board.time()
    assert cooled.value == 2
    assert cooled.void == ("after: throttled",)
    assert cooled.waited_s > 0
    assert cooled.after["throttled"] == []


def test_a_board_that_is_throttled_before_is_not_timed_until_cool() -> None:
    board = FakeBoard(hot_c=95.0, limit_c=80.0, floor_c=70.0)
    cooled = board.time()
    assert cooled.value == board.timings
    assert cooled.void[0] == "before: throttled"


def test_a_board_that_stays_throttled_is_lost_hardware_with_the_cure() -> None:
    board = FakeBoard(hot_c=60.0, limit_c=0.0)
    with pytest.raises(HardwareLostError, match="held back in 3 timings in a row") as caught:
        board.time()
    assert "power supply" in caught.value.hint
    assert board.timings == 0
    assert board.seconds >= 3 * 180.0


def test_a_clock_below_its_limit_counts_only_where_the_governor_never_lowers_it() -> None:
    slow: MomentFacts = {"cpu_mhz": 600.0, "governor": "performance"}
    assert held_back(slow, 1500.0) == ["600 MHz instead of 1500 MHz"]
    assert held_back({**slow, "governor": "ondemand"}, 1500.0) == []
    assert held_back({**slow, "cpu_mhz": 1450.0}, 1500.0) == []
    assert held_back({}, None) == []


def test_a_clock_that_drops_in_the_middle_voids_the_timing() -> None:
    def clocks() -> Iterator[float]:
        yield from (1500.0, 1100.0)
        while True:
            yield 1500.0

    found = clocks()
    cooled = time_cool(
        lambda: "timed",
        lambda: {"cpu_mhz": next(found), "governor": "performance"},
        1500.0,
        sleep=lambda seconds: None,
        clock=lambda: 0.0,
    )
    assert cooled.void == ("after: 1100 MHz instead of 1500 MHz",)
