"""Tile choices on the disk."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hardware.kernels.families.family import Family
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.schedule.schedule import Schedule, candidates, make_schedule
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import TargetConfig
from hardware.worker.tiles import choices as tiles
from hardware.worker.tiles.choices import TileChoices
from tests.hardware.store_contract import Reopen, StoreContract

GEOMETRY = Geometry(
    batch=1, height=32, width=32, channels=32, out_channels=64, kernel=(3, 3), stride=(2, 2)
)
WINOGRAD = replace(GEOMETRY, stride=(1, 1))
FAMILIES = {
    pair: choose_family("avx2", *pair, GEOMETRY) for pair in ((8, 8), (5, 6), (4, 5), (4, 4))
}


def choices(folder: Path, **config: Any) -> TileChoices:
    return TileChoices(TargetConfig(tile_choices=str(folder), **config))


def other(pair: tuple[int, int]) -> Schedule:
    """Return a schedule that is not the default."""
    return candidates(GEOMETRY, FAMILIES[pair])[2]


def test_a_choice_survives_a_restart(tmp_path: Path) -> None:
    family = FAMILIES[8, 8]
    first = choices(tmp_path)
    assert first.find(GEOMETRY, family) is None
    assert first.schedule(GEOMETRY, family) == make_schedule(GEOMETRY, family)
    first.keep(GEOMETRY, family, other((8, 8)), {"default_us": 2.0, "kept_us": 1.0})
    for opened in (first, choices(tmp_path)):
        assert opened.find(GEOMETRY, family) == other((8, 8))
        assert opened.schedule(GEOMETRY, family) == other((8, 8))
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text())["measured"] == {"default_us": 2.0, "kept_us": 1.0}


def test_a_choice_is_of_its_shape_family_and_target(tmp_path: Path) -> None:
    family = FAMILIES[8, 8]
    kept = choices(tmp_path)
    kept.keep(GEOMETRY, family, other((8, 8)), {})
    assert kept.find(replace(GEOMETRY, width=15), family) is None
    assert kept.find(GEOMETRY, FAMILIES[4, 4]) is None
    assert choices(tmp_path, mcpu="haswell").find(GEOMETRY, family) is None
    bordered = replace(GEOMETRY, in_border=(1, 1), out_border=(2, 2))
    assert kept.find(bordered, family) == other((8, 8))


def test_deep_families_share_a_choice(tmp_path: Path) -> None:
    shallow, deep = FAMILIES[4, 5], FAMILIES[4, 4]
    assert 32 <= shallow.depth < deep.depth
    kept = choices(tmp_path)
    kept.keep(GEOMETRY, deep, other((4, 4)), {})
    found = kept.find(GEOMETRY, shallow)
    assert found is not None
    assert found in candidates(GEOMETRY, shallow)  # its chunks are as short as its depth asks for
    tile = ("tile_rows", "tile_columns", "tile_vectors", "inside_positions")
    assert all(getattr(found, name) == getattr(other((4, 4)), name) for name in tile)
    assert kept.find(GEOMETRY, FAMILIES[5, 6]) is None


@pytest.mark.parametrize("pair", list(FAMILIES))
def test_a_stored_tile_means_one_schedule(pair: tuple[int, int], tmp_path: Path) -> None:
    kept = choices(tmp_path)
    for schedule in candidates(GEOMETRY, FAMILIES[pair]):
        kept.keep(GEOMETRY, FAMILIES[pair], schedule, {})
        assert kept.find(GEOMETRY, FAMILIES[pair]) == schedule


@pytest.mark.parametrize("pair", [(4, 4), (4, 6), (2, 2)])
def test_a_stored_group_of_tiles_means_one_schedule(pair: tuple[int, int], tmp_path: Path) -> None:
    family = choose_family("avx2", *pair, WINOGRAD)
    kept = choices(tmp_path)
    found = candidates(WINOGRAD, family)
    assert len({schedule.group_tiles for schedule in found}) > 1
    for schedule in found:
        kept.keep(WINOGRAD, family, schedule, {})
        assert kept.find(WINOGRAD, family) == schedule


@pytest.mark.parametrize(
    "damage", ["", "{}", "[]", '{"key": 1, "tile": [1]}', '"tile"', "\0", "shorter"]
)
def test_a_damaged_file_is_no_choice(damage: str, tmp_path: Path) -> None:
    family = FAMILIES[8, 8]
    choices(tmp_path).keep(GEOMETRY, family, other((8, 8)), {})
    (file,) = tmp_path.iterdir()
    if damage == "shorter":
        document = json.loads(file.read_text())
        damage = json.dumps({**document, "tile": document["tile"][:-1]})
    file.write_text(damage)
    opened = choices(tmp_path)
    assert opened.schedule(GEOMETRY, family) == make_schedule(GEOMETRY, family)
    opened.keep(GEOMETRY, family, other((8, 8)), {})
    assert choices(tmp_path).find(GEOMETRY, family) == other((8, 8))
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


def test_a_digest_is_only_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TileChoices, "_file", lambda self, key: self.folder / "same.json")
    kept = choices(tmp_path)
    kept.keep(GEOMETRY, FAMILIES[8, 8], other((8, 8)), {})
    assert choices(tmp_path).find(GEOMETRY, FAMILIES[4, 4]) is None


def test_other_kernel_sources_are_searched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = FAMILIES[8, 8]
    choices(tmp_path).keep(GEOMETRY, family, other((8, 8)), {})
    monkeypatch.setattr(tiles, "source_digest", lambda: "changed")
    assert choices(tmp_path).find(GEOMETRY, family) is None


def test_a_choice_that_fits_no_more_is_none(tmp_path: Path) -> None:
    family = FAMILIES[8, 8]
    kept = choices(tmp_path)
    kept.keep(GEOMETRY, family, replace(make_schedule(GEOMETRY, family), tile_rows=99), {})
    assert kept.schedule(GEOMETRY, family) == make_schedule(GEOMETRY, family)


def test_the_default_folder_is_beside_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert choices(Path()).folder == Path.cwd()
    assert TileChoices(TargetConfig()).folder == Path("/somewhere/bitalloc/tiles")


class _Kept:
    """Choices by shape and family."""

    def __init__(self, folder: Path) -> None:
        self._choices = choices(folder)

    def get(self, key: tuple[Geometry, Family]) -> Schedule | None:
        return self._choices.find(*key)

    def put(self, key: tuple[Geometry, Family], schedule: Schedule) -> None:
        self._choices.keep(*key, schedule, {})


class TestTileChoices(StoreContract):
    keys = ((GEOMETRY, FAMILIES[8, 8]), (GEOMETRY, FAMILIES[4, 4]))
    results = (other((8, 8)), other((4, 4)))

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Reopen:
        return lambda: nullcontext(_Kept(tmp_path))
