"""The fuzzes' own eyes: they see tracebacks, waiting, executed code and sentences that are none."""

import os
import runpy
import sys
import time
from pathlib import Path

import pytest

from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from tests.fuzz.harms import MARK, apply, stray
from tests.fuzz.watch import ask, bounded_memory, check


def test_executed_files_and_processes_are_seen(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert apply([stray("evil.py")], folder)

    def command() -> int:
        runpy.run_path(str(folder / "evil.py"))
        return os.system("true")

    answer = ask(command, folder)
    assert any(seen == f"exec {folder / 'evil.py'}" for seen in answer.executed)
    assert any(seen.startswith("os.system") for seen in answer.executed)
    assert (tmp_path / MARK).exists()
    with pytest.raises(AssertionError):
        check(answer)


def test_a_traceback_and_waiting_are_no_answers(tmp_path: Path) -> None:
    def fail() -> int:
        raise KeyError("name")

    def wait() -> int:
        time.sleep(60)
        return DONE

    failed, waited = ask(fail, tmp_path), ask(wait, tmp_path, limit_s=0.05)
    assert "KeyError" in failed.trace
    assert waited.hung
    for answer in (failed, waited):
        with pytest.raises(AssertionError):
            check(answer)


def test_a_refusal_is_a_sentence_that_names_a_place(tmp_path: Path) -> None:
    def refuse() -> int:
        print(f"error: {tmp_path} is damaged", file=sys.stderr)
        print("hint: copy it again", file=sys.stderr)
        return USER_MISTAKE

    check(ask(refuse, tmp_path), str(tmp_path))
    with pytest.raises(AssertionError):
        check(ask(refuse, tmp_path), "another place")


def test_a_file_without_end_ends_in_a_traceback(tmp_path: Path) -> None:
    def read() -> int:
        return len(Path("/dev/zero").read_bytes())

    with bounded_memory():
        assert "MemoryError" in ask(read, tmp_path, limit_s=60.0).trace
