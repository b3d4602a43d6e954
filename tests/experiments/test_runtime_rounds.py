import time
from itertools import pairwise

import pytest

from experiments import runtime_rounds
from experiments.peers.contender import Contender
from experiments.runtime_rounds import SLOW_REPEATS, time_in_rounds


def _sleeper(name: str, milliseconds: float, calls: list[str]) -> Contender:
    def execute() -> None:
        calls.append(name)
        time.sleep(milliseconds / 1000)

    return Contender(engine="torch", weight_bits=32, activation_bits=32, execute=execute)


def test_rounds_interleave_in_changing_orders_and_time_each_contender() -> None:
    calls: list[str] = []
    contenders = [_sleeper("a", 6, calls), _sleeper("b", 12, calls), _sleeper("c", 18, calls)]
    seen: list[tuple[int, int]] = []
    marks: list[int] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        marks.append(len(calls))

    found = time_in_rounds(contenders, 6, seed=0, progress=progress)
    assert seen == [(done, 6) for done in range(1, 7)]
    for values, least_ms in zip(found.values_ms, (6, 12, 18), strict=True):
        assert len(values) == 6
        assert all(least_ms <= value < 3 * least_ms for value in values)
    rounds = [calls[start:end] for start, end in pairwise(marks)]
    for one in rounds:
        # An execution that is not timed comes before each that is.
        assert sorted(one) == ["a", "a", "b", "b", "c", "c"]
        assert one[0::2] == one[1::2]
    assert len({tuple(one) for one in rounds}) > 1


def test_a_short_execution_is_repeated_until_it_can_be_timed() -> None:
    calls: list[str] = []
    values = time_in_rounds([_sleeper("a", 0.2, calls)], 3, seed=0).values_ms[0]
    assert len(calls) > 3 * 5
    assert all(0.2 <= value < 2 for value in values)


def test_a_slow_contender_stops_after_the_first_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_rounds, "SLOW_MS", 20.0)
    calls: list[str] = []
    contenders = [_sleeper("slow", 25, calls), _sleeper("fast", 1, calls)]
    found = time_in_rounds(contenders, SLOW_REPEATS + 4, seed=0)
    assert [len(values) for values in found.values_ms] == [SLOW_REPEATS, SLOW_REPEATS + 4]
    assert calls.count("slow") == 1 + 2 * SLOW_REPEATS
