"""Which slow tests CI runs: the same ones everywhere, and none that nobody measured."""

import pytest

from tests.seconds import choose, read_seconds

SECONDS = {"quick": 1.0, "long": 100.0, "middle": 10.0, "alike": 10.0}


@pytest.mark.parametrize(
    ("within_s", "chosen"),
    [
        (0.5, set()),
        (1.0, {"quick"}),
        (11.0, {"quick", "alike"}),
        (120.9, {"quick", "alike", "middle"}),
        (121.0, {"quick", "alike", "middle", "long"}),
    ],
)
def test_the_quickest_are_chosen_as_long_as_they_fit(within_s: float, chosen: set[str]) -> None:
    assert choose(list(SECONDS), SECONDS, within_s) == chosen


def test_a_test_that_nobody_measured_is_named() -> None:
    with pytest.raises(
        pytest.UsageError, match=r"1 slow tests have no measured seconds .* new among"
    ):
        choose(["quick", "new"], SECONDS, 100.0)


def test_seconds_were_measured() -> None:
    assert len(read_seconds()) > 200
    assert all(seconds >= 0 for seconds in read_seconds().values())
