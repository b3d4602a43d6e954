"""What a loaded machine makes of limits, and that it is told."""

import os

import pytest

from hardware.measuring.busy import busy_limit_s, busy_sentence


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> float:
    """Give two cores a load."""
    found: float = request.param
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (found, 0.0, 0.0))
    return found


@pytest.mark.parametrize(
    ("load", "expected_s"),
    [(0.0, 60.0), (2.0, 60.0), (8.0, 240.0), (20.0, 600.0), (500.0, 600.0)],
    indirect=["load"],
)
def test_a_limit_grows_by_what_else_wants_a_core(load: float, expected_s: float) -> None:
    assert busy_limit_s(60.0) == expected_s


@pytest.mark.parametrize("load", [0.0, 1.0, 1.1, 8.0], indirect=True)
def test_it_is_busy_from_half_a_process_for_each_core(load: float) -> None:
    expected = f"a load of {load:.1f} on 2 cores" if load > 1.0 else ""
    assert expected in busy_sentence()
    assert bool(busy_sentence()) == bool(expected)
