"""The best ruler of a machine outlives the process that read it, and not the machine."""

import math
from pathlib import Path

import pytest

from hardware.kept_ruler import KeptRuler
from hardware.measuring.ruler import SLOWDOWN_LIMIT
from hardware.store import Store

DAY_S = 24 * 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store.sqlite")


def test_a_process_that_begins_in_a_slow_minute_knows_it(store: Store) -> None:
    quiet = KeptRuler(store)
    assert quiet.best_us() == math.inf
    assert [quiet.note(us) for us in (20.0, 18.0, 19.0)] == [20.0, 18.0, 18.0]
    later = KeptRuler(store)
    assert later.best_us() == 18.0
    assert later.note(30.0) == 18.0


def test_a_machine_that_has_become_slower_is_measured_by_itself(store: Store) -> None:
    KeptRuler(store).note(10.0)
    later = KeptRuler(store)
    slower = 1.01 * SLOWDOWN_LIMIT * 10.0
    found = [later.note(slower) for _ in range(50)]
    assert found[:49] == [10.0] * 49
    assert found[49] == slower == KeptRuler(store).best_us()
    near = KeptRuler(store)
    assert {near.note(1.05 * slower) for _ in range(60)} == {slower}


def test_a_reading_is_forgotten_after_a_month(store: Store) -> None:
    KeptRuler(store, clock=lambda: 0.0).note(10.0)
    assert KeptRuler(store, clock=lambda: 29 * DAY_S).best_us() == 10.0
    assert KeptRuler(store, clock=lambda: 31 * DAY_S).best_us() == math.inf
    assert KeptRuler(store, clock=lambda: -3600.0).best_us() == math.inf  # a clock set back


def test_another_machine_with_the_same_store_has_its_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    KeptRuler(store).note(10.0)
    monkeypatch.setattr("platform.node", lambda: "another")
    assert KeptRuler(store).best_us() == math.inf


@pytest.mark.parametrize("document", [{}, {"best_us": "ten", "read_s": 0.0}, {"best_us": -1.0}])
def test_what_is_no_reading_is_none(store: Store, document: dict[str, object]) -> None:
    ruler = KeptRuler(store)
    ruler.note(10.0)
    store._connection.execute("DELETE FROM results")
    from hardware.kept_ruler import _key

    store.put("ruler", _key(), document)
    assert ruler.best_us() == math.inf
