"""A run over a folder of any size takes the memory that it is given."""

from pathlib import Path

import pytest

from tests.env.tasks.streaming.made_up import make_folder
from tests.env.tasks.streaming.memory import run_arguments, watch

_IMAGES = 6_000
_LIMIT_MB = 3 * 1024 * 1.048576


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_and_its_workers_stay_below_three_gib(tmp_path: Path) -> None:
    """As numbers the images are 74 MB; 10 MB of pixels, of every second image, may be kept."""
    folder = make_folder(tmp_path, _IMAGES)
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    arguments = run_arguments(folder, tmp_path / "runs", workers=2, cache_mb=10, epochs=1)
    taken = watch(arguments, cache)
    assert taken.code == 0, taken.output
    assert taken.peak_mb < _LIMIT_MB
    assert taken.processes >= 3, "two workers read"
