"""Many cases of one fuzz: always the same ones, each in a folder of its own."""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.harms import Described

CASES = 2000


def try_cases(
    harms: st.SearchStrategy[Described],
    check: Callable[[Sequence[Described], Path], object],
    folder: Path,
    cases: int = CASES,
) -> Counter[object]:
    """Try harms, one or two at a time, and return what came of them, counted.

    Args:
        harms: To draw from.
        check: Applies them to a copy in an empty folder, and returns how that ended: None where
            they could not be applied, which is no case.
        folder: Where the empty folders are made.
        cases: How many must be tried.
    """
    counts: Counter[object] = Counter()

    @settings(
        max_examples=2 * cases,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(harms, min_size=1, max_size=2))
    def try_them(drawn: list[Described]) -> None:
        if counts.total() - counts[None] >= cases:
            return
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            counts[check(drawn, Path(empty))] += 1

    try_them()
    print(dict(counts))
    assert counts.total() - counts[None] >= cases, counts
    return counts
