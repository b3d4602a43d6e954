import os
import time
from pathlib import Path

import pytest

from hardware.energy.counter import CounterRecording, joules_between
from hardware.energy.errors import MeterError
from hardware.energy.open_meter import open_meter
from hardware.energy.rapl import RaplMeter
from tests.hardware.energy.sensor_trees import rapl_tree, set_rapl, write

RANGE_UJ = 262143328850


def test_packages_and_their_memory_are_added_and_nothing_inside_or_around_them(
    tmp_path: Path,
) -> None:
    rapl_tree(tmp_path, {0: 10_000_000, 1: 70_000_000})
    meter = RaplMeter(tmp_path)
    assert meter.what == ("package-0 + dram of intel-rapl:0:1 + package-1 + dram of intel-rapl:1:1")

    def work() -> None:
        set_rapl(tmp_path, 0, 12_500_000)
        set_rapl(tmp_path, 1, 71_000_000)

    with meter.record() as recording:
        recording.span(work)
        (span,) = recording.spans()
    assert span.joules == pytest.approx(3.5)
    assert span.seconds > 0


def test_a_counter_that_wraps_around_goes_on_from_its_range(tmp_path: Path) -> None:
    rapl_tree(tmp_path, {0: RANGE_UJ - 1_000_000})
    with RaplMeter(tmp_path).record() as recording:
        recording.span(lambda: set_rapl(tmp_path, 0, 2_000_000))
        (span,) = recording.spans()
    assert span.joules == pytest.approx(3.0)


def test_a_counter_without_a_range_must_not_go_backwards() -> None:
    assert joules_between({"a": 9.0}, {"a": 1.0}, {"a": 10.0}) == pytest.approx(2.0)
    with pytest.raises(MeterError, match=r"grows, found 9 J and then 1 J from a"):
        joules_between({"a": 9.0}, {"a": 1.0}, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_missing_permission_names_the_file_and_the_cure(tmp_path: Path) -> None:
    rapl_tree(tmp_path, {0: 1})
    file = tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj"
    file.chmod(0)
    with pytest.raises(MeterError, match=r"energy_uj may be read by root alone") as caught:
        RaplMeter(tmp_path)
    assert "sudo chmod a+r" in caught.value.hint


def test_missing_permission_as_the_kernel_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rapl_tree(tmp_path, {0: 1})
    read = Path.read_text

    def refuse(self: Path, *arguments: str) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(self))
        return read(self, *arguments)

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(MeterError, match=r"may be read by root alone.*chmod a\+r"):
        RaplMeter(tmp_path)


def test_no_zone_and_damaged_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match=r"no RAPL zone under .*powercap"):
        RaplMeter(tmp_path)
    rapl_tree(tmp_path, {0: 1})
    write(tmp_path, {"sys/class/powercap/intel-rapl:0/energy_uj": "rubbish"})
    with pytest.raises(MeterError, match=r"expected microjoules in .*rubbish"):
        RaplMeter(tmp_path)


def test_auto_takes_it_first_and_says_why_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MeterError, match=r"found no energy meter \(rapl: .*ina3221: .*pmic: "):
        open_meter("auto", root=tmp_path)
    rapl_tree(tmp_path, {0: 1})
    assert open_meter("auto", root=tmp_path).source == "rapl"


def test_reading_a_slow_counter_takes_time_that_is_told_apart() -> None:
    joules = 0.0

    def read_j() -> dict[str, float]:
        time.sleep(0.05)
        return {"a": joules}

    with CounterRecording(read_j) as recording:
        recording.span(lambda: time.sleep(0.05))
        (span,) = recording.spans()
    assert span.work_s >= 0.05
    assert span.seconds >= span.work_s + 0.05
