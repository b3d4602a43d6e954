import json
from pathlib import Path

import pytest
import torch

from experiments.bench import command as bench
from experiments.bench.runtime.bench import RuntimeOptions, bench_runtime
from experiments.bench.runtime.hidden import HIDDEN
from experiments.errors import BenchError
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from hardware.measuring.lock import name_held


def test_the_command_writes_rows_and_prints_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "runtime.json"
    flags = ["--networks", "resnet8", "resnet20", "--engines", "torch", "--repeats", "3"]
    assert bench.main(["runtime", *flags, "--json", str(file), "--quiet"]) == DONE
    document = json.loads(file.read_text())
    assert document["command"].startswith("python -m experiments.bench runtime --networks resnet8")
    assert document["machine"]["threads"] == 1
    assert document["machine"]["hidden"] == ""
    assert [(row["network"], row["engine"]) for row in document["rows"]] == [
        ("resnet8", "torch"),
        ("resnet20", "torch"),
    ]
    small, large = (row["latency_ms_median"] for row in document["rows"])
    assert 0 < small < large
    shown = capsys.readouterr().out
    assert "resnet8, 12.5 MMAC" in shown
    assert "resnet20, 40.8 MMAC" in shown
    assert "written to" in shown


def test_a_bench_beside_another_says_so_and_writes_it_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--networks", "resnet8", "--engines", "torch", "--repeats", "3", "--quiet"]
    file = tmp_path / "runtime.json"
    with name_held("bench-runtime") as others:
        assert not others
        assert bench.main(["runtime", *flags, "--json", str(file)]) == DONE
    shown = capsys.readouterr()
    assert shown.err.count("another bench runtime runs on this machine") == 1
    assert "Another bench runtime runs" in " ".join(shown.out.split())
    assert "another bench runtime runs" in json.loads(file.read_text())["machine"]["busy"]


@pytest.mark.slow
def test_our_rows_stand_beside_the_others(tmp_path: Path) -> None:
    file = tmp_path / "runtime.json"
    flags = ["--networks", "resnet8", "--engines", "bitalloc", "torch", "--repeats", "3"]
    flags += ["--json", str(file), "--target.kernel-cache", str(tmp_path / "kernels"), "--quiet"]
    assert bench.main(["runtime", *flags]) == DONE
    document = json.loads(file.read_text())
    assert [
        (row["engine"], row["weight_bits"], row["activation_bits"]) for row in document["rows"]
    ] == [
        *(("bitalloc", *pair) for pair in ((8, 8), (7, 8), (6, 6), (4, 4), (2, 2))),
        ("bitalloc", "mixed", "mixed"),
        ("torch", 32, 32),
    ]
    facts = document["networks"]["resnet8"]
    assert set(facts["families"]) == {
        f"bitalloc {bits}" for bits in ("W8A8", "W7A8", "W6A6", "W4A4", "W2A2", "mixed")
    }
    assert all(sum(counts.values()) == 10 for counts in facts["families"].values())


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--repeats", "2"], "--repeats: expected at least 3, found 2"),
        (["--engines", "torch", "torch"], "--engines: expected each name once"),
        (["--target.runner", "simulated"], "expected target.runner=local"),
        (["--repeat", "5"], "unknown key repeat"),
        (["--target.runnr", "local"], "unknown key target.runnr"),
    ],
)
def test_mistakes_are_one_sentence(
    flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["runtime", *flags]) == USER_MISTAKE
    assert sentence in capsys.readouterr().err


def test_what_was_called_hidden_is_refused_in_a_process_that_sees_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(HIDDEN, "hidden by magic")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    with pytest.raises(BenchError, match="expected torch to see AVX2"):
        bench_runtime(RuntimeOptions(engines=("torch",)))


def test_how_vectors_were_hidden_is_recorded_with_the_command_that_hides_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HIDDEN, "hidden by magic")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    file = tmp_path / "runtime.json"
    flags = ["--networks", "resnet8", "--engines", "torch", "--repeats", "3", "--quiet"]
    assert bench.main(["runtime", *flags, "--json", str(file)]) == DONE
    document = json.loads(file.read_text())
    assert document["machine"]["hidden"] == "hidden by magic"
    assert document["command"].startswith(
        "python -m tools.hide_wide_vectors -m experiments.bench runtime --networks resnet8"
    )


def test_the_old_way_to_hide_vectors_names_the_new_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["runtime", "--hide-wide-vectors"]) == USER_MISTAKE
    assert (
        "python -m tools.hide_wide_vectors -m experiments.bench runtime" in capsys.readouterr().err
    )
