import json
import time
from collections.abc import Callable, Sequence

import pytest

from hardware.energy.energy import Energy, modelled_energy
from hardware.energy.errors import MeterError
from hardware.energy.meter import Recording, Span
from hardware.energy.power import PowerRecording
from hardware.energy.samples import span_between
from hardware.energy.window import WindowPlan, measure_energy


class ClockMeter(Recording):
    """Takes 2 W while idle and 6 W at work, on a clock that the work itself moves."""

    source = "external"
    what = "a clock"

    def __init__(self, *, interval_s: float = 0.01, samples_per_s: float = 100.0) -> None:
        self.interval_s = interval_s
        self.now_s = 0.0
        self.joules = 0.0
        self.runs: list[int] = []
        self.reading_s = 0.0
        self._samples_per_s = samples_per_s
        self._spans: list[Span] = []

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.joules += 2.0 * seconds

    def run(self, loops: int, one_s: float = 0.01) -> None:
        self.runs.append(loops)
        self.now_s += loops * one_s
        self.joules += 6.0 * loops * one_s

    def record(self) -> "ClockMeter":
        return self

    def span(self, work: Callable[[], object]) -> None:
        before_s, before_j = self.now_s, self.joules
        work()
        took_s = self.now_s - before_s
        self.joules += 2.0 * self.reading_s
        self._spans.append(
            Span(
                joules=self.joules - before_j,
                seconds=took_s + self.reading_s,
                work_s=took_s,
                samples=int(took_s * self._samples_per_s),
            )
        )

    def spans(self) -> Sequence[Span]:
        found, self._spans = self._spans, []
        return found


def measured(meter: ClockMeter, one_s: float, plan: WindowPlan | None = None) -> Energy:
    return measure_energy(
        meter, meter.run, one_s=one_s, plan=plan or WindowPlan(), sleep=meter.sleep
    )


def test_gross_and_net_are_kept_apart() -> None:
    meter = ClockMeter()
    energy = measured(meter, 0.01)
    assert energy.gross_mj == pytest.approx(60.0)  # 6 W for 10 ms
    assert energy.idle_w == pytest.approx(2.0)
    assert energy.net_mj == pytest.approx(40.0)
    assert energy.stable
    assert energy.error_mj == pytest.approx(0.0, abs=1e-9)
    assert meter.runs == [60] * 5
    assert energy.loops == 300
    assert energy.window_s == pytest.approx(3.0)
    assert energy.samples == pytest.approx(300, abs=5)


def test_what_idles_while_a_counter_is_read_is_taken_off() -> None:
    meter = ClockMeter()
    meter.reading_s = 0.2
    energy = measured(meter, 0.01)
    assert energy.idle_w == pytest.approx(2.0)
    assert energy.gross_mj == pytest.approx(60.0)
    assert energy.net_mj == pytest.approx(40.0)


def test_a_slow_meter_gets_a_longer_window() -> None:
    energy = measured(ClockMeter(interval_s=1.0, samples_per_s=1.0), 0.01)
    assert energy.window_s == pytest.approx(30.0, rel=0.01)
    assert energy.gross_mj == pytest.approx(60.0)


def test_a_window_that_came_out_short_is_measured_again() -> None:
    meter = ClockMeter()
    energy = measured(meter, one_s=0.05)  # it takes a fifth of that
    assert energy.window_s >= 3.0
    assert len(meter.runs) == 10


def test_too_few_readings_are_refused() -> None:
    with pytest.raises(MeterError, match=r"expected 30 readings .*found 5.*energy.interval_s"):
        measured(ClockMeter(samples_per_s=2.0), 0.01)


def test_a_meter_that_does_not_move_is_refused() -> None:
    meter = ClockMeter()
    with pytest.raises(MeterError, match=r"did not move in 3.0 s of work.*connected"):
        measure_energy(
            meter,
            lambda loops: setattr(meter, "now_s", meter.now_s + loops * 0.01),
            one_s=0.01,
            plan=WindowPlan(),
            sleep=meter.sleep,
        )


def test_blocks_that_disagree_are_unstable() -> None:
    energy = Energy(source="rapl", what="x", blocks_mj=(1.0, 2.0, 1.0, 2.0, 9.0))
    assert not energy.stable


def test_a_model_has_neither_idle_nor_net() -> None:
    energy = modelled_energy(3.5, 2.0)
    assert energy.source == "modelled"
    assert energy.gross_mj == pytest.approx(7.0)
    assert energy.net_mj is None
    assert "as named in the configuration" in energy.what


def test_an_energy_survives_json() -> None:
    energy = measured(ClockMeter(), 0.01)
    document = json.loads(json.dumps(energy.to_dict()))
    assert Energy.from_dict(document) == energy
    assert document["energy_source"] == "external"
    assert document["net_mj"] == pytest.approx(40.0)


def test_power_is_integrated_by_trapezoids_up_to_both_ends() -> None:
    samples = [(0.0, 0.0), (1.0, 2.0), (2.0, 2.0), (3.0, 0.0)]
    assert span_between(samples, 0.0, 3.0).joules == pytest.approx(4.0)
    half = span_between(samples, 0.5, 2.5)
    assert half.joules == pytest.approx(0.75 + 2.0 + 0.75)
    assert half.samples == 2
    assert span_between(samples, 1.2, 1.4).joules == pytest.approx(0.4)
    with pytest.raises(MeterError, match=r"found 0.00 to 3.00"):
        span_between(samples, 1.0, 3.5)
    with pytest.raises(MeterError, match="found nothing"):
        span_between([], 0.0, 1.0)


def test_a_sensor_is_sampled_beside_the_work() -> None:
    busy = False

    def read_w() -> float:
        return 8.0 if busy else 3.0

    def work() -> None:
        nonlocal busy
        busy = True
        time.sleep(0.3)
        busy = False

    with PowerRecording(read_w, 0.005) as recording:
        recording.span(lambda: time.sleep(0.2))
        recording.span(work)
        idle, working = recording.spans()
    # 5 % and more for what the samples at the edges belong to.
    assert idle.joules / idle.seconds == pytest.approx(3.0, rel=0.15)
    assert working.joules / working.seconds == pytest.approx(8.0, rel=0.15)


def test_a_sensor_that_hangs_ends_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardware.energy.power._PATIENCE_S", 0.05)

    def read_w() -> float:
        time.sleep(0.5)
        return 1.0

    hung = PowerRecording(read_w, 0.001)
    with hung as recording, pytest.raises(MeterError, match="gave no reading"):
        recording.span(lambda: None)
