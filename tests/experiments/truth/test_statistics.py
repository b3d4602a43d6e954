"""Interquartile means and their intervals, against what can be worked out by hand."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from experiments.truth.statistics import (
    Regrets,
    interquartile_mean,
    interval_of,
    summed_interval,
)


def test_the_middle_half_is_what_counts() -> None:
    assert interquartile_mean(np.array([0.0, 1.0, 2.0, 1000.0])) == pytest.approx(1.5)
    # Of five values a quarter of the second and of the fourth is outside the middle half.
    assert interquartile_mean(np.array([9.0, 0.0, 4.0, 1.0, 100.0])) == pytest.approx(
        (0.75 * 1 + 4 + 0.75 * 9) / 2.5
    )


def regrets(values: Iterable[float]) -> Regrets:
    return Regrets(values=tuple(values))


@pytest.mark.parametrize("seeds", [5, 50])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds: int) -> None:
    draw, held = np.random.default_rng(0), 0
    for _ in range(200):
        found = interval_of(regrets(draw.normal(3.0, 1.0, seeds).tolist()))
        held += found.low <= 3.0 <= found.high
    assert 180 <= held <= 198


def test_pairing_sees_what_seeds_have_in_common() -> None:
    draw = np.random.default_rng(1)
    seeds = draw.normal(0, 10, 60)
    one, two = regrets(seeds + draw.normal(0.5, 0.3, 60)), regrets(seeds)
    together = summed_interval([one], [two])
    assert together.low > 0
    assert interval_of(one).low < interval_of(two).high


def test_a_hundred_seeds_know_an_answer_no_better_than_its_rows() -> None:
    # Two methods that answer always the same: 0.3 points apart, and two rows of 0.3 each.
    one, two = (
        Regrets(values=(value,) * 100, answers=(answer,) * 100, errors=(0.3 / 2**0.5,) * 100)
        for value, answer in ((0.0, "one"), (0.3, "two"))
    )
    apart = summed_interval([one], [two])
    assert apart.low < -0.7
    assert apart.high > 0.1
    # What both answer is the same for both, whatever it is worth.
    same = summed_interval([one], [replace(two, answers=one.answers)])
    assert (same.low, same.high) == pytest.approx((-0.3, -0.3))
    # Different answers of different seeds are known together as well as they are many.
    many = replace(two, answers=tuple(range(100)))
    assert interval_of(many).high - interval_of(many).low < 0.2
    assert interval_of(two).high - interval_of(two).low > 0.6


def test_a_gamble_is_seen_beside_the_middle_half() -> None:
    found = interval_of(regrets([0.0] * 80 + [20.0] * 20))
    assert found.iqm == 0.0
    assert found.mean == 4.0
    assert found.worst == 20.0


def test_an_answer_to_several_budgets_is_moved_for_all_of_them() -> None:
    def width(*answers: str) -> float:
        budgets = [
            Regrets(values=(0.0,) * 50, answers=(answer,) * 50, errors=(0.3,) * 50)
            for answer in answers
        ]
        known = [regrets([0.0] * 50)] * 2
        found = summed_interval(budgets, known)
        return found.high - found.low

    # Errors of one answer add up, those of two partly cancel.
    assert width("one", "one") == pytest.approx(2 * 1.96 * 0.6, rel=0.1)
    assert width("one", "two") == pytest.approx(2 * 1.96 * 0.3 * 2**0.5, rel=0.1)


def test_ratios_are_of_the_means_of_sums() -> None:
    one = [regrets([1.0, 2.0]), regrets([4.0, 8.0])]
    two = [regrets([0.0, 0.0]), regrets([4.0, 8.0])]
    found = summed_interval(one, two, ratio=True)
    assert [found.iqm, found.low, found.high, found.mean] == pytest.approx([1.25] * 4)
    # Beside nobody's regret any is infinitely more.
    found = summed_interval(one[:1], two[:1], ratio=True)
    assert [found.iqm, found.low, found.high, found.mean] == [np.inf] * 4
