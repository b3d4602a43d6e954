"""What is remembered of the tracker's boards, and for how long."""

import time

import pytest

from experiments.service.work import boards as module
from experiments.service.work.boards import Boards
from hardware.tracker import TrackedKey


def test_what_was_known_long_ago_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FRESH_S", 0.05)
    monkeypatch.setattr(module, "_REMEMBERED_S", 0.1)
    free, asked = [1], []

    def ask(host: str, port: int) -> list[TrackedKey]:
        asked.append(time.monotonic())
        return [TrackedKey(key="pi", addresses=("10.0.0.2:9090",), free=free[0], waiting=0)]

    boards = Boards("shelf:9190", ask)
    assert boards.why_not("pi") == ""
    until = time.monotonic() + 60
    while time.monotonic() - asked[-1] < 1.0:  # nobody asks any more
        assert time.monotonic() < until
        time.sleep(0.05)
    free[0] = 0
    assert "in use by others" in boards.why_not("pi")
