import time
from itertools import pairwise

import pytest

from experiments.bench.peers.contender import Contender
from experiments.bench.runtime import rounds as runtime_rounds
from experiments.bench.runtime.rounds import SLOW_REPEATS, time_in_rounds

RULER_US = 10.0


def _sleeper(name: str, milliseconds: float, calls: list[str]) -> Contender:
    def execute() -> None:
        calls.append(name)
        time.sleep(milliseconds / 1000)

    return Contender(engine="torch", weight_bits=32, activation_bits=32, execute=execute)


@pytest.fixture
def after_us(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The machine's speed: what the ruler says after each repeat, `RULER_US` at the list's end."""
    after: list[float] = []
    monkeypatch.setattr(runtime_rounds, "settle", lambda best_us, patience_s: (RULER_US, 0.0))
    monkeypatch.setattr(
        runtime_rounds, "read_ruler_us", lambda: after.pop(0) if after else RULER_US
    )
    # Sleeping takes no CPU time, which would look like queueing for the processor.
    monkeypatch.setattr(time, "process_time", time.perf_counter)
    return after


@pytest.mark.usefixtures("after_us")
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
    for repeats, least_ms in zip(found, (6, 12, 18), strict=True):
        assert len(repeats.values_ms) == 6
        assert least_ms <= min(repeats.values_ms) < 3 * least_ms  # others a busy machine delays
    rounds = [calls[start:end] for start, end in pairwise(marks)]
    for one in rounds:
        # An execution that is not timed comes before each that is.
        assert sorted(one) == ["a", "a", "b", "b", "c", "c"]
        assert one[0::2] == one[1::2]
    assert len({tuple(one) for one in rounds}) > 1


@pytest.mark.usefixtures("after_us")
def test_a_short_execution_is_repeated_until_it_can_be_timed() -> None:
    calls: list[str] = []
    (repeats,) = time_in_rounds([_sleeper("a", 0.2, calls)], 3)
    assert len(calls) > 3 * 5
    assert 0.2 <= min(repeats.values_ms) < 2


@pytest.mark.usefixtures("after_us")
def test_a_slow_contender_gets_few_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_rounds, "SLOW_MS", 20.0)
    calls: list[str] = []
    contenders = [_sleeper("slow", 25, calls), _sleeper("fast", 1, calls)]
    found = time_in_rounds(contenders, SLOW_REPEATS + 4)
    assert [len(item.values_ms) for item in found] == [SLOW_REPEATS, SLOW_REPEATS + 4]
    assert calls.count("slow") == 1 + 2 * SLOW_REPEATS


def test_a_disturbed_repeat_is_taken_again_and_left_out(after_us: list[float]) -> None:
    after_us += [RULER_US, 2 * RULER_US, RULER_US]
    (repeats,) = time_in_rounds([_sleeper("a", 6, [])], 4)
    assert (len(repeats.calm_ms), len(repeats.disturbed_ms)) == (4, 1)
    assert not repeats.unstable
    assert repeats.values_ms == repeats.calm_ms


def test_a_machine_that_never_calms_ends_the_rounds_and_is_told(after_us: list[float]) -> None:
    after_us += [2 * RULER_US] * 100
    (repeats,) = time_in_rounds([_sleeper("a", 6, [])], 4)
    assert (len(repeats.calm_ms), len(repeats.disturbed_ms)) == (0, 8)
    assert repeats.unstable
    assert repeats.values_ms == repeats.disturbed_ms


def test_waiting_for_a_processor_is_a_disturbance(
    after_us: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "process_time", lambda: 0.5 * time.perf_counter())
    (repeats,) = time_in_rounds([_sleeper("a", 6, [])], 2)
    assert repeats.unstable
