"""python -m experiments.boards: every failure with its cure, from a worker that is a script."""

from importlib.metadata import version
from itertools import count
from typing import Any

import pytest

from experiments.boards import command
from experiments.boards.doctor import Check, examine
from experiments.terminal.exit_codes import HARDWARE_LOST, USER_MISTAKE
from hardware.errors import (
    BoardBusyError,
    BoardLostError,
    BuildError,
    HardwareLostError,
    ToolchainError,
)
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig

CONFIG = TargetConfig(board="rpi4", server="pi:9090")
BOARD: dict[str, Any] = {
    "hostname": "pi",
    "model": "Raspberry Pi 4 Model B",
    "system": "Debian GNU/Linux 12 (bookworm)",
    "emulated": "",
    "tvm": version("apache-tvm"),
    "tvm_ffi": version("apache-tvm-ffi"),
    "python": "3.11.2",
    "limit_mhz": 1800.0,
    "meters": {"rapl": "no RAPL zone", "pmic": ""},
}
MOMENT = {"governor": "performance", "cpu_mhz": 1800.0, "hottest_c": 51.0, "throttled": []}


class Worker:
    """Answers as a board that is well, except for what a test changes."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {
            "check_link": 70_000,
            "connect": {"facts": BOARD},
            "check_reference": None,
            "check_bits": "neon",
            "ruler_us": 12.0,
            "moment": MOMENT,
            **answers,
        }
        self.facts = {"linker": "binutils (aarch64-linux-gnu-ld)"}
        self.closed = False

    def ensure_started(self) -> None:
        if error := self.answers.get("start"):
            raise error

    def call(self, method: str, *arguments: Any, limit_s: float) -> Any:
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return next(answer) if hasattr(answer, "__next__") else answer

    def close(self) -> None:
        self.closed = True


def checks(**answers: Any) -> dict[str, Check]:
    worker = Worker(**answers)
    found = examine(
        CONFIG,
        ProtocolConfig(),
        sleep=lambda seconds: None,
        worker=worker,  # type: ignore[arg-type]
    )
    by_name = {check.name: check for check in found}
    assert worker.closed
    return by_name


def board(**facts: Any) -> dict[str, Any]:
    return {"facts": {**BOARD, **facts}}


def test_a_board_that_is_well_is_good_from_end_to_end() -> None:
    found = checks()
    assert {check.outcome for check in found.values()} == {"good"}
    names = ["address", "cross-link", "reachable", "versions", "exact result", "times", "meter"]
    assert list(found) == names
    assert "at 51 C" in found["times"].found
    assert found["meter"].found == "pmic"


@pytest.mark.parametrize(
    ("answers", "name", "outcome", "told", "cure"),
    [
        (
            {"start": ToolchainError("found neither", "pip install ziglang")},
            *("cross-link", "bad", "found neither", "pip install ziglang"),
        ),
        (
            {"check_link": BuildError("ld ended with 1")},
            *("cross-link", "bad", "ld ended with 1", "install another"),
        ),
        (
            {"connect": BoardLostError("pi:9090 does not answer")},
            *("reachable", "bad", "does not answer", "Raspberry Pi OS 64-bit"),
        ),
        (
            {"connect": BoardBusyError("all 1 boards are in use")},
            *("reachable", "bad", "in use", "find out who uses it"),
        ),
        (
            {"connect": board(tvm="0.26.0")},
            *("versions", "bad", "apache-tvm 0.26.0 there", "pip install apache-tvm=="),
        ),
        (
            {"check_bits": BuildError("wrong result: 3 of 8192 outputs differ")},
            *("exact result", "bad", "at 8 bits: wrong result", "--target.family generic"),
        ),
        (
            {"check_reference": HardwareLostError("the session ended")},
            *("exact result", "bad", "the session ended", "is it the board"),
        ),
        (
            {"moment": {**MOMENT, "throttled": ["under-voltage"]}},
            *("clock", "bad", "under-voltage", "power supply"),
        ),
        (
            {"moment": {**MOMENT, "cpu_mhz": 600.0}},
            *("clock", "bad", "600 MHz instead of 1800 MHz", "cool the board"),
        ),
        (
            {"moment": {"governor": "performance", "cpu_mhz": 1800.0}},
            *("clock", "warning", "does not tell", "vcgencmd"),
        ),
        (
            {"moment": {**MOMENT, "governor": "ondemand"}},
            *("governor", "warning", "ondemand", "echo performance"),
        ),
        (
            {"ruler_us": (12.0 + 6.0 * (n % 2) for n in count())},
            *("times", "warning", "IQR 40.0%", "stop what else runs"),
        ),
        (
            {"connect": board(emulated="qemu-aarch64")},
            *("times", "warning", "emulated by qemu-aarch64", "never to rank"),
        ),
        (
            {"connect": board(meters={"rapl": "no RAPL zone"})},
            *("meter", "warning", "none of its own (rapl: no RAPL zone)", "external meter"),
        ),
    ],
)
def test_every_failure_is_told_with_its_cure(
    answers: dict[str, Any], name: str, outcome: str, told: str, cure: str
) -> None:
    check = checks(**answers)[name]
    assert check.outcome == outcome
    assert told in check.found
    assert cure in check.cure


def test_nothing_further_is_looked_at_without_a_board() -> None:
    found = checks(connect=BoardLostError("gone"))
    assert list(found) == ["address", "cross-link", "reachable"]
    assert found["reachable"].lost


def test_the_exit_code_says_whether_the_board_was_reached(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["doctor", "--target.board", "rpi4", "--target.server", "pi:9090"]

    def exit_code(**answers: Any) -> int:
        found = list(checks(**answers).values())
        monkeypatch.setattr(command, "examine", lambda *_: iter(found))
        return command.main(flags)

    assert exit_code() == 0
    assert exit_code(connect=BoardLostError("gone")) == HARDWARE_LOST
    assert exit_code(check_bits=BuildError("wrong")) == USER_MISTAKE
    assert "cure: is it the board" in capsys.readouterr().out


def test_mistakes_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TVM_TRACKER_HOST", raising=False)
    for arguments, message in (
        ([], "expected a tracker, found neither --tracker nor TVM_TRACKER_HOST"),
        (["--tracker", "desk"], "expected HOST:PORT, found 'desk'"),
        (["doctor"], "target.board: expected a board to examine, found none"),
    ):
        assert command.main(arguments) == USER_MISTAKE
        assert message in capsys.readouterr().err
    assert command.main(["--tracker", "127.0.0.1:1"]) == HARDWARE_LOST
    assert "the tracker at 127.0.0.1:1 does not answer" in capsys.readouterr().err
