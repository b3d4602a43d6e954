"""What is known of a machine's best after the last measurement counts for the first, too."""

from dataclasses import replace

from hardware.measuring.hindsight import in_hindsight
from hardware.measuring.measurement import Measurement
from hardware.measuring.ruler import RulerReading
from tests.experiments.evaluations import measurement


def beside_ruler(
    ruler_us: float, best_us: float, *, cpu_share: float = 1.0, board: str = ""
) -> Measurement:
    reading = RulerReading(
        before_us=best_us, after_us=ruler_us, best_us=best_us, waited_s=0.0, cpu_share=cpu_share
    )
    return replace(measurement(1.0), facts={"ruler": reading.facts(), "board": board})


def test_what_passed_for_the_machines_best_is_held_against_a_later_one() -> None:
    slow, fast = beside_ruler(6.0, 6.0), beside_ruler(4.0, 4.0)
    assert slow.verdict.stable
    found = in_hindsight([slow, fast])
    assert str(found[0].verdict) == ("unstable: the machine was 1.5 times slower than at its best")
    assert found[0].values_ms == slow.values_ms
    assert found[1] == fast


def test_boards_are_not_held_against_each_other() -> None:
    measurements = [beside_ruler(6.0, 6.0, board="one"), beside_ruler(4.0, 4.0, board="two")]
    assert in_hindsight(measurements) == measurements


def test_queueing_stays_and_what_has_no_ruler_stays_as_it_is() -> None:
    queued, without = beside_ruler(4.0, 4.0, cpu_share=0.5), measurement(1.0)
    assert in_hindsight([queued, without]) == [queued, without]
    assert in_hindsight([without]) == [without]
