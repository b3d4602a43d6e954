"""Evaluations become events once each, whatever else is in their file."""

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


def test_a_damaged_line_is_passed_over(tmp_path: Path) -> None:
    run = make_run(tmp_path).path
    file = run / "evaluations.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + b'{"index": 1}\n[]\n\xff\n' + lines[2])
    found, read = read_new(run, 0)
    assert [item.index for item in found] == [0, 2]
    assert read == file.stat().st_size
