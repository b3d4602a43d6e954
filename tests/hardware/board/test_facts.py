"""What a board tells of itself, from the files of real kernels."""

from pathlib import Path

import pytest

from hardware.board.emulation import EMULATED, emulator
from hardware.board.facts import board_moment, describe_board
from hardware.board.names import AGENT_VERSION
from hardware.board.throttle import throttle_reasons
from hardware.facts import MachineFacts, MomentFacts
from tests.hardware.board.boards import write_jetson, write_pi


def test_a_pi_is_described(tmp_path: Path) -> None:
    write_pi(tmp_path)
    facts = describe_board(tmp_path)
    expected = {
        "model": "Raspberry Pi 4 Model B Rev 1.4",
        "cpu": "Cortex-A72",
        "cpu_features": ["asimd"],
        "system": "Debian GNU/Linux 12 (bookworm)",
        "governor": "ondemand",
        "max_mhz": 1800.0,
        "limit_mhz": 1500.0,
        "memory_mb": 3793,
        "agent": AGENT_VERSION,
        "tvm": "0.27.0.post1",
    }
    assert {name: dict(facts)[name] for name in expected} == expected
    assert "10000000abcdef01" not in str(facts)
    assert len(facts["id"]) == 12
    assert set(facts) <= set(MachineFacts.__annotations__)


def test_a_moment_has_clock_heat_and_throttling(tmp_path: Path) -> None:
    write_pi(tmp_path, throttled="0x50005", milli_c=81_000)
    facts = board_moment(tmp_path)
    assert facts["cpu_mhz"] == 1500.0
    assert facts["hottest_c"] == 81.0
    assert facts["governor"] == "ondemand"
    assert facts["throttled"] == ["under-voltage", "throttled"]
    assert set(facts) <= set(MomentFacts.__annotations__)


@pytest.mark.parametrize(
    ("flags", "reasons"),
    [
        ("0x0", []),
        ("0x50000", []),  # both happened since the start, neither is so now
        ("0x2", ["frequency capped"]),
        ("0x80008", ["soft temperature limit"]),
    ],
)
def test_a_pi_is_throttled_by_what_is_so_now(
    tmp_path: Path, flags: str, reasons: list[str]
) -> None:
    write_pi(tmp_path, throttled=flags)
    assert throttle_reasons(tmp_path) == reasons


def test_a_jetson_is_throttled_by_its_clock_and_not_by_its_fan(tmp_path: Path) -> None:
    write_jetson(tmp_path)
    assert throttle_reasons(tmp_path) == []
    write_jetson(tmp_path, state=3)
    assert throttle_reasons(tmp_path) == ["cpufreq-cpu0 at cooling state 3"]


def test_a_board_that_cannot_tell_says_nothing(tmp_path: Path) -> None:
    assert throttle_reasons(tmp_path) is None
    moment = board_moment(tmp_path)
    assert not {"throttled", "cpu_mhz", "hottest_c", "governor"} & set(moment)


def test_an_emulator_is_seen_by_its_command_or_by_the_processor_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(EMULATED, raising=False)
    write_pi(tmp_path)
    assert emulator(tmp_path, "aarch64") == ""
    (tmp_path / "proc/self/comm").write_text("qemu-aarch64-st\n")
    assert emulator(tmp_path, "aarch64") == "qemu-aarch64-st"
    (tmp_path / "proc/self/comm").write_text("python3\n")
    (tmp_path / "proc/cpuinfo").write_text("processor: 0\nvendor_id: GenuineIntel\n")
    assert emulator(tmp_path, "aarch64") == "unknown emulator"
    assert emulator(tmp_path, "x86_64") == ""
    monkeypatch.setenv(EMULATED, "gem5")
    assert emulator(tmp_path, "x86_64") == "gem5"
