"""One run as its files tell it: what is missing, what is damaged, what was being written."""

import json
from pathlib import Path

import pytest

from experiments.errors import RunFolderError
from experiments.record import files
from experiments.record.lines import append_line, cut_torn_line, whole_lines
from experiments.record.run_record import RunRecord
from experiments.report.command import write_report
from experiments.stages.resume import read_resumed
from tests.experiments.run_folders import make_run


def test_a_file_that_is_not_written_yet_is_none(tmp_path: Path) -> None:
    record = RunRecord(tmp_path)
    assert [record.results, record.table, record.budget, record.sensitivity] == [None] * 4
    assert [record.tiles, record.test_results, record.best, record.budget_ms] == [None] * 4
    assert record.evaluations == record.islands == record.rows == ()
    assert (record.config, record.environment, record.curves) == ({}, {}, {})
    assert record.config_text == record.command == ""


def test_a_file_is_read_once_and_by_each_record_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    record = run.record
    assert len(record.evaluations) == 4
    assert record.evaluations is record.evaluations
    (run.path / files.EVALUATIONS).unlink()
    assert len(record.evaluations) == 4
    assert run.record.evaluations == ()


def test_an_evaluation_that_was_being_written_is_none(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with (run.path / files.EVALUATIONS).open("ab") as file:
        file.write(b'{"index": 4, "\xc3')
    assert len(run.record.evaluations) == 4


@pytest.mark.parametrize(
    ("name", "content", "attribute"),
    [
        (files.RESULTS, b'{"rows": []}', "results"),
        (files.BUDGET, b'{"latency_ms": 1.0}', "budget"),
        (files.BUDGET, b'{"hours": 1.0, "reason": ""}', "budget"),
        (files.EVALUATIONS, b'{"index": 0}\n', "evaluations"),
        (files.CONFIG, b"a: [", "config"),
        (files.COMMAND, b"\xff", "command"),
        (files.ENVIRONMENT, b"null", "environment"),
        (files.TILES, b"[1]", "tiles"),
        (files.TEST_RESULTS, b"[1]", "test_results"),
        (files.RESULTS, b"null", "results"),
    ],
)
def test_damage_is_named_where_the_file_is_asked_for(
    tmp_path: Path, name: str, content: bytes, attribute: str
) -> None:
    run = make_run(tmp_path)
    (run.path / name).write_bytes(content)
    with pytest.raises(RunFolderError, match=rf"{name}: a file of the run is damaged"):
        getattr(run.record, attribute)


def test_a_torn_line_is_cut_before_another_is_appended(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    cut_torn_line(file)
    assert not file.exists()
    for number in range(3):
        append_line(file, {"number": number})
        with file.open("a") as torn:
            torn.write('{"num')
        cut_torn_line(file)
        assert whole_lines(file.read_bytes())[-1] == f'{{"number": {number}}}'
    assert len(whole_lines(file.read_bytes())) == 3


def test_a_file_of_other_bytes_is_not_quoted_whole(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run.path / files.CONFIG).write_bytes("seed: 0\n".encode("utf-16") * 1000)
    with pytest.raises(RunFolderError, match="can't decode byte 0xff in position 0") as caught:
        _ = run.record.config_text
    assert len(str(caught.value)) < 500


def test_a_folder_in_place_of_the_lines_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / files.EVALUATIONS).mkdir()
    with pytest.raises(RunFolderError, match=f"cannot write .*{files.EVALUATIONS}"):
        cut_torn_line(tmp_path / files.EVALUATIONS)


def test_a_file_that_holds_no_number_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a board whose clock told NaN left it, in versions that believed it."""
    run = make_run(tmp_path)
    table = (run.path / files.TABLE).read_text()
    (run.path / files.TABLE).write_text(table.replace("1.25", "NaN"))
    write_report([run.path])
    assert f"{files.TABLE}: holds NaN, which is no number" in capsys.readouterr().err
    with pytest.raises(RunFolderError, match=r"cannot go on: .*layer_table\.json: holds NaN"):
        read_resumed(run.path)


def test_an_evaluation_whose_times_are_none_has_failed(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    first, *others = (run.path / files.EVALUATIONS).read_text().splitlines()
    document = json.loads(first)
    document["measurement"]["values_ms"][0] = float("nan")
    lines = [json.dumps(document), *others]
    (run.path / files.EVALUATIONS).write_text("\n".join(lines) + "\n")
    read = next(iter(run.record.evaluations))
    assert read.latency_ms is None
    assert "cannot be believed: measurement: " in read.error
    write_report([run.path])


def test_no_file_holds_what_is_no_number(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.write_json("made.json", {"rows": [1.0, float("inf"), {"loss": float("nan")}]})
    text = (run.path / "made.json").read_text()
    assert json.loads(text) == {"rows": [1.0, None, {"loss": None}]}
