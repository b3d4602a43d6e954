from hardware.measuring.measurement import latency_label
from hardware.measuring.protocol import ProtocolConfig
from hardware.measuring.timing import time_program

PROTOCOL = ProtocolConfig(warmups=2, repeats=5, min_repeat_ms=4.0)


class Clock:
    """A program of known time; scripted milliseconds come first for multi-repeat timings."""

    def __init__(self, each_ms: float, scripts: list[list[float]] | None = None) -> None:
        self.each_ms = each_ms
        self.scripts = scripts or []
        self.calls: list[tuple[int, int]] = []

    def __call__(self, loops: int, repeats: int) -> list[float]:
        self.calls.append((loops, repeats))
        if repeats > 1 and self.scripts:
            return self.scripts.pop(0)
        return [self.each_ms] * repeats


def test_loops_fill_the_shortest_repeat() -> None:
    clock = Clock(0.003)
    timing = time_program(clock, PROTOCOL)
    assert timing.loops * 0.003 >= PROTOCOL.min_repeat_ms
    assert timing.loops * 0.003 <= 2 * PROTOCOL.min_repeat_ms
    assert clock.calls[-1] == (timing.loops, 7)


def test_a_slow_program_runs_once_a_repeat() -> None:
    assert time_program(Clock(50.0), PROTOCOL).loops == 1


def test_a_slow_first_call_does_not_shorten_the_repeats() -> None:
    class Cold(Clock):
        def __call__(self, loops: int, repeats: int) -> list[float]:
            self.each_ms = 3.0 if not self.calls else 0.01
            return super().__call__(loops, repeats)

    assert time_program(Cold(0.0), PROTOCOL).loops * 0.01 >= PROTOCOL.min_repeat_ms


def test_warm_ups_are_thrown_away_and_the_rest_is_kept() -> None:
    values = [9.0, 8.0, 1.0, 1.01, 1.02, 1.03, 1.04]
    timing = time_program(Clock(1.0, [values]), PROTOCOL)
    assert timing.values_ms == tuple(values[2:])
    assert timing.discarded_ms == ()


def test_an_unstable_timing_is_repeated_once_with_twice_the_repeats() -> None:
    shaky = [1.0, 1.0, 1.0, 2.0, 3.0, 1.0, 2.0]
    clock = Clock(1.0, [shaky, [1.0] * 12])
    timing = time_program(clock, PROTOCOL)
    assert timing.discarded_ms == tuple(shaky[2:])
    assert timing.values_ms == (1.0,) * 10
    assert clock.calls[-1][1] == 12


def test_a_timing_that_stays_unstable_is_kept() -> None:
    shaky = [1.0, 1.0] + [1.0, 2.0, 3.0, 1.0, 2.0] * 2
    timing = time_program(Clock(1.0, [shaky[:7], shaky]), PROTOCOL)
    assert timing.values_ms == tuple(shaky[2:])


def test_an_emulated_latency_says_so_in_its_name() -> None:
    assert latency_label("best/latency_ms", "emulated") == "best/latency_emulated_ms"
    for source in ("measured", "simulated", None):
        assert latency_label("best/latency_ms", source) == "best/latency_ms"
