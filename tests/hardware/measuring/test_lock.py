import subprocess
import sys
import time
from pathlib import Path

import pytest

from hardware.measuring import lock as lock_module
from hardware.measuring.lock import lock_folder, name_held, timing_lock, training_lock

ROOT = Path(__file__).resolve().parents[3]

HOLDER = """
import sys, time
from pathlib import Path
from hardware.measuring.lock import timing_lock, training_lock
kind, folder, name, hold_s = sys.argv[1], Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
lock = {"timing": timing_lock, "training": training_lock}[kind]
def say(what):
    with open(folder / "log", "a") as log:
        log.write(f"{name} {what}\\n")
say("asks")
with lock(folder):
    say("in")
    time.sleep(hold_s)
    say("out")
"""

NAME_HOLDER = """
import sys
from pathlib import Path
from hardware.measuring.lock import name_held
with name_held("bench", Path(sys.argv[1])) as others:
    print(others, flush=True)
    sys.stdin.read()
"""


def start(kind: str, folder: Path, name: str, hold_s: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, kind, str(folder), name, str(hold_s)], cwd=ROOT
    )


def said(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def wait_for(folder: Path, line: str, limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while line not in said(folder):
        assert time.monotonic() < end, f"{line!r} never came: {said(folder)}"
        time.sleep(0.01)


def test_timing_waits_for_training_and_overtakes_the_next_one(tmp_path: Path) -> None:
    first = start("training", tmp_path, "first", 0.8)
    wait_for(tmp_path, "first in")
    timing = start("timing", tmp_path, "timing", 0.1)
    wait_for(tmp_path, "timing asks")
    time.sleep(0.2)  # from asking to waiting inside the lock
    second = start("training", tmp_path, "second", 0.0)
    for process in (first, timing, second):
        assert process.wait(20) == 0
    events = [line for line in said(tmp_path) if not line.endswith("asks")]
    assert events == [
        *("first in", "first out"),
        *("timing in", "timing out"),
        *("second in", "second out"),
    ]


def test_trainings_share(tmp_path: Path) -> None:
    first = start("training", tmp_path, "first", 30.0)
    wait_for(tmp_path, "first in")
    second = start("training", tmp_path, "second", 0.0)
    assert second.wait(20) == 0
    assert "first out" not in said(tmp_path)
    first.kill()
    first.wait()


@pytest.mark.parametrize("kind", ["timing", "training"])
def test_a_killed_holder_frees_the_lock(tmp_path: Path, kind: str) -> None:
    holder = start(kind, tmp_path, "holder", 60.0)
    wait_for(tmp_path, "holder in")
    holder.kill()
    holder.wait()
    started = time.monotonic()
    with timing_lock(tmp_path):
        pass
    assert time.monotonic() - started < 5.0


def test_asking_inside_the_lock_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    with (
        training_lock(tmp_path),
        pytest.raises(RuntimeError, match="timing lock inside the training lock"),
        timing_lock(tmp_path),
    ):
        pass
    with timing_lock(tmp_path):  # and the error left nothing held
        pass


@pytest.mark.parametrize(
    ("held", "wanted", "said_of_it"),
    [
        ("timing", "training", "is measuring, and nothing is trained beside that"),
        ("training", "timing", "is measuring or training, and nothing is measured beside that"),
    ],
)
def test_a_long_wait_is_told_of_once(
    held: str,
    wanted: str,
    said_of_it: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(lock_module, "_SILENT_S", 0.2)
    monkeypatch.setattr(lock_module, "_told", set[str]())
    wait = {"timing": timing_lock, "training": training_lock}[wanted]
    for name in ("first", "second"):
        holder = start(held, tmp_path, name, 1.0)
        wait_for(tmp_path, f"{name} in")
        with wait(tmp_path):
            assert f"{name} out" in said(tmp_path)
        assert holder.wait(20) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, "once, however often it waits"
    assert lines[0].startswith("waiting: another process of yours on this machine")
    assert said_of_it in lines[0]


def test_who_does_not_wait_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lock_module, "_SILENT_S", 0.05)
    monkeypatch.setattr(lock_module, "_told", set[str]())
    for lock in (training_lock, timing_lock):
        with lock(tmp_path):
            time.sleep(0.2)
    assert not capsys.readouterr().err


def test_who_comes_to_a_name_that_is_held_knows_it(tmp_path: Path) -> None:
    with name_held("bench", tmp_path) as others:
        assert not others
        second = subprocess.Popen(
            [sys.executable, "-c", NAME_HOLDER, str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert second.stdout is not None
        assert second.stdout.readline() == "True\n"
    with name_held("bench", tmp_path) as others:
        assert others, "the second is still there"
    second.communicate("")
    with name_held("bench", tmp_path) as others:
        assert not others


def test_lock_folder_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = lock_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0
