"""Measurements of stores and folders: what is no time and no ruler is refused."""

from dataclasses import replace
from typing import Any

import pytest

from tests.experiments.evaluations import measurement


@pytest.mark.parametrize("ruler", [3, None, {"slowdown": "slow"}, {"slowdown": True}])
def test_a_ruler_of_another_kind_is_refused(ruler: Any) -> None:
    known: Any = {"ruler": {"slowdown": 2.0}}
    assert not replace(measurement(0.1), facts=known).verdict.stable
    other: Any = {"ruler": ruler}
    with pytest.raises(ValueError, match=r"facts\.ruler"):
        replace(measurement(0.1), facts=other)
