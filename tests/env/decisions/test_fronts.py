"""Fronts against brute force."""

import numpy as np
import pytest

from env.decisions.fronts import pareto, pareto_mask, thin


@pytest.mark.parametrize("resources", [1, 2, 3, 4])
@pytest.mark.parametrize("largest", [3, 50, 10**9])
def test_a_front_is_what_nothing_beats_or_equals(resources: int, largest: int) -> None:
    rng = np.random.default_rng(resources)
    for count in (1, 2, 7, 200):
        points = rng.integers(0, largest, (count, resources))
        kept = {tuple(point) for point in pareto(points).tolist()}
        unique = {tuple(point) for point in points.tolist()}
        expected = {
            point
            for point in unique
            if not any(
                other != point and all(a <= b for a, b in zip(other, point, strict=True))
                for other in unique
            )
        }
        assert kept == expected
        assert len(pareto(points)) == len(kept), "equal points are kept once"
        mask = pareto_mask(points)
        assert mask.tolist() == [tuple(point) in kept for point in points.tolist()]


def test_a_thinned_front_keeps_the_least_of_each_resource() -> None:
    front = pareto(np.random.default_rng(0).integers(0, 10**6, (2000, 3)))
    few = thin(front, 5)
    assert 3 <= len(few) <= 8
    assert few.min(axis=0).tolist() == front.min(axis=0).tolist()
    assert {tuple(point) for point in few.tolist()} <= {tuple(point) for point in front.tolist()}
