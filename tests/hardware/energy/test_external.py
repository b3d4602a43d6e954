import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hardware.energy.command_meter import CommandMeter
from hardware.energy.csv_meter import CsvMeter, parse_row
from hardware.energy.errors import MeterError
from hardware.energy.open_meter import open_meter


def printing(folder: Path, text: str) -> str:
    """Return the command line of a meter that prints a file."""
    (folder / "reading").write_text(text)
    return f"cat {folder / 'reading'}"


def test_a_command_may_tell_watts(tmp_path: Path) -> None:
    meter = CommandMeter(printing(tmp_path, "3.25 W\n"), 0.02)
    with meter.record() as recording:
        recording.span(lambda: time.sleep(0.1))
        (span,) = recording.spans()
    assert span.joules == pytest.approx(3.25 * span.seconds)
    assert span.samples is not None
    assert span.samples >= 1


@pytest.mark.parametrize(("unit", "joules"), [("J", 2.0), ("mJ", 0.002), ("Wh", 7200.0)])
def test_a_command_may_tell_energy_so_far(tmp_path: Path, unit: str, joules: float) -> None:
    meter = CommandMeter(printing(tmp_path, f"10 {unit}"), 0.02)
    with meter.record() as recording:
        recording.span(lambda: printing(tmp_path, f"12 {unit}"))
        (span,) = recording.spans()
    assert span.joules == pytest.approx(joules)
    assert span.samples is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3.25\n", r"expected a line such as '3.21 W' or '1500 J' .*found '3.25'"),
        ("3.25 kg\n", "units are W, mW for power and J, mJ, Wh"),
    ],
)
def test_a_number_without_a_known_unit_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(MeterError, match=said):
        CommandMeter(printing(tmp_path, text), 0.1)


def test_a_command_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match=r"cannot be run: .*nothing-here"):
        CommandMeter(str(tmp_path / "nothing-here"), 0.1)
    with pytest.raises(MeterError, match=r"exit code 1: .*No such file"):
        CommandMeter(f"cat {tmp_path / 'absent'}", 0.1)
    with pytest.raises(MeterError, match="found nothing"):
        CommandMeter(" ", 0.1)


def test_a_counter_that_restarts_is_an_error(tmp_path: Path) -> None:
    meter = CommandMeter(printing(tmp_path, "10 J"), 0.02)
    with meter.record() as recording, pytest.raises(MeterError, match="grows"):
        recording.span(lambda: printing(tmp_path, "1 J"))


def test_rows_of_a_csv_file() -> None:
    assert parse_row("1700000000.5, 2.5, C") == (1700000000.5, 2.5)
    moment = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
    assert parse_row(f"{moment.isoformat()},4") == (moment.timestamp(), 4.0)
    for line in ("timestamp,watts", "", "# started", "2026-05-01T12:00:00,4"):
        assert parse_row(line) is None


def test_a_growing_csv_file_is_looked_up_afterwards(tmp_path: Path) -> None:
    file = tmp_path / "meter.csv"
    start = time.time()
    file.write_text(f"timestamp,watts\n{start - 0.1},5\n{start - 0.05},5\n{start},5\n")
    over = threading.Event()

    def write() -> None:
        with file.open("a") as stream:
            while not over.wait(0.02):
                stream.write(f"{time.time()},5.0\n")
                stream.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        meter = open_meter("external", csv=str(file))
        assert meter.source == "external"
        assert meter.interval_s == pytest.approx(0.05, abs=0.01)
        with meter.record() as recording:
            recording.span(lambda: time.sleep(0.2))
            recording.span(lambda: time.sleep(0.1))
            first, second = recording.spans()
    finally:
        over.set()
        writer.join()
    assert first.joules == pytest.approx(5 * first.seconds)
    assert second.joules == pytest.approx(5 * second.seconds)
    assert first.samples is not None
    assert first.samples > 3


def test_a_csv_file_that_stands_still_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "meter.csv"
    with pytest.raises(MeterError, match=r"cannot read the meter's file .*start the meter"):
        CsvMeter(file)
    file.write_text("timestamp,watts\n")
    with pytest.raises(MeterError, match=r"expected rows of timestamp,watts in .*found 0"):
        CsvMeter(file)
    file.write_text("timestamp,watts\n100.0,5\n101.0,5\n")
    monkeypatch.setattr("hardware.energy.csv_meter._PATIENCE_S", 0.2)
    with CsvMeter(file).record() as recording:
        recording.span(lambda: None)
        with pytest.raises(MeterError, match=r"older than the work.*do both clocks agree"):
            recording.spans()
