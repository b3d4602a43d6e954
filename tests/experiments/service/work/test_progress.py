"""Evaluations become events once each, whatever else is in their file."""

from dataclasses import replace
from pathlib import Path

from experiments.service.work.progress import read_new, summary
from tests.experiments.run_folders import make_run


def test_each_whole_line_is_read_once(tmp_path: Path) -> None:
    run = make_run(tmp_path).path
    assert read_new(tmp_path / "none", 0) == ([], 0)
    file = run / "evaluations.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[1][:20])
    found, read = read_new(run, 0)
    assert ([item.index for item in found], read) == ([0], len(lines[0]))
    assert read_new(run, read) == ([], read)
    file.write_bytes(b"".join(lines))
    found, read = read_new(run, read)
    assert ([item.index for item in found], read) == ([1, 2, 3], file.stat().st_size)
    assert summary(found[1])["bits"]["second"] == [2, 8]
    assert summary(found[2])["latency_ms"] is None
    measured = found[1].measurement
    assert measured is not None
    assert summary(found[1])["hottest_c"] is None
    hot = replace(measured, facts={"before": {"hottest_c": 40.0}, "after": {"hottest_c": 61.5}})
    assert summary(replace(found[1], measurement=hot))["hottest_c"] == 61.5


def test_a_damaged_line_is_passed_over(tmp_path: Path) -> None:
    run = make_run(tmp_path).path
    file = run / "evaluations.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + b'{"index": 1}\n[]\n\xff\n' + lines[2])
    found, read = read_new(run, 0)
    assert [item.index for item in found] == [0, 2]
    assert read == file.stat().st_size
