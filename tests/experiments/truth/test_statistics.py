"""Interquartile means and their intervals, against what can be worked out by hand."""

import numpy as np
import pytest

from experiments.truth.statistics import interquartile_mean, interval_of, paired_interval


def test_the_middle_half_is_what_counts() -> None:
    assert interquartile_mean(np.array([0.0, 1.0, 2.0, 1000.0])) == pytest.approx(1.5)
    # Of five values a quarter of the second and of the fourth is outside the middle half.
    assert interquartile_mean(np.array([9.0, 0.0, 4.0, 1.0, 100.0])) == pytest.approx(
        (0.75 * 1 + 4 + 0.75 * 9) / 2.5
    )


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    draw, held = np.random.default_rng(0), 0
    for _ in range(200):
        found = interval_of(draw.normal(3.0, 1.0, 50).tolist())
        held += found.low <= 3.0 <= found.high
    assert 180 <= held <= 198


def test_pairing_sees_what_seeds_have_in_common() -> None:
    draw = np.random.default_rng(1)
    seeds = draw.normal(0, 10, 60)
    one, two = seeds + draw.normal(0.5, 0.3, 60), seeds
    together = paired_interval(one.tolist(), two.tolist())
    assert together.low > 0
    assert interval_of(one.tolist()).low < interval_of(two.tolist()).high
