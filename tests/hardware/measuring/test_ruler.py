import math

import pytest

from hardware.measuring import ruler
from hardware.measuring.measurement import judge
from hardware.measuring.ruler import SLOWDOWN_LIMIT, RulerReading, settle


def test_without_a_best_nothing_waits() -> None:
    ruler_us, waited_s = settle(math.inf, 60.0)
    assert ruler_us > 0
    assert waited_s < 5.0


def test_it_waits_until_the_machine_is_as_fast_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([20.0, 18.0, 10.5, 99.0])
    monkeypatch.setattr(ruler, "read_ruler_us", lambda: next(readings))
    assert settle(10.0, 60.0)[0] == 10.5


def test_patience_ends() -> None:
    ruler_us, waited_s = settle(1e-6, 0.1)
    assert ruler_us > 1e-6
    assert 0.1 <= waited_s < 5.0


def test_queueing_for_the_processor_counts_as_slow() -> None:
    reading = RulerReading(before_us=10.0, after_us=10.0, best_us=10.0, waited_s=0.0, cpu_share=0.5)
    assert reading.slowdown == 2.0


def test_a_slow_machine_makes_a_measurement_unstable() -> None:
    reading = RulerReading(before_us=10.0, after_us=16.0, best_us=10.0, waited_s=0.0, cpu_share=1.0)
    assert reading.slowdown == 1.6
    assert reading.disturbed
    verdict = judge([1.0] * 5, slowdown=reading.slowdown)
    assert str(verdict) == "unstable: the machine was 1.6 times slower than at its best"
    assert judge([1.0] * 5, slowdown=SLOWDOWN_LIMIT - 0.01).stable
