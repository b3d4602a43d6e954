"""What commit a94c802 wrote is read by today's code, or refused in one sentence.

The folders are in tests/fixtures/a94c802, whose README.md says how they were made. Each test works
on a copy, by the commands that a user has.
"""

import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hardware.runtime.loader import Bundle
from hardware.runtime.run import BundleError
from hardware.store import Store, StoreError

ROOT = Path(__file__).resolve().parents[2]
BEFORE = ROOT / "tests" / "fixtures" / "a94c802"
DONE, USER_MISTAKE = 0, 2
JOBS = [
    *("--methods", "uniform", "random", "mckp", "--budgets", "0.35"),
    *("--evaluations", "4", "--seeds", "1"),
]

Copy = Callable[[str], Path]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    def made(name: str) -> Path:
        source, place = BEFORE / name, tmp_path / name
        return shutil.copytree(source, place) if source.is_dir() else shutil.copyfile(source, place)

    return made


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Start a module where the store of a resumed run may be made; see what it printed."""

    def done(module: str, *arguments: Path | str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    return done


def check_refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    """A mistake of the user, told in one sentence and perhaps a hint; so there is no traceback."""
    assert done.returncode == USER_MISTAKE, done.stderr
    lines = done.stderr.strip().splitlines()
    assert lines[0].startswith("error: ")
    assert words in lines[0]
    assert all(line.startswith("hint: ") for line in lines[1:])


def rows(folder: Path) -> list[str]:
    return (folder / "evaluations.jsonl").read_text().splitlines()


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def test_a_page_of_the_run_is_written(copy: Copy, run: Run) -> None:
    folder = copy("run")
    done = run("experiments.report", folder)
    assert done.returncode == DONE, done.stderr
    page = (folder / "report.html").read_text()
    *_, best = json.loads((folder / "results.json").read_text())["rows"]
    assert best["name"] == "best found"
    assert f"{100 * best['accuracy']:.2f} %" in page
    assert f"{best['latency_ms']:.4f} ms" in page
    assert "AMD EPYC" in page


def test_a_page_of_a_stopped_run_is_written(copy: Copy, run: Run) -> None:
    folder = copy("interrupted")
    done = run("experiments.report", folder)
    assert done.returncode == DONE, done.stderr
    assert (folder / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("module", ["experiments.evaluate", "experiments.export"])
def test_a_stopped_run_has_nothing_to_evaluate_or_export(
    copy: Copy, run: Run, tmp_path: Path, module: str
) -> None:
    output = ["--output", tmp_path / "new"] if module == "experiments.export" else []
    done = run(module, copy("interrupted"), *output)
    check_refused(done, "is not the folder of a finished run")


@pytest.mark.slow
def test_a_finished_run_is_done_again_or_belongs_to_another_machine(copy: Copy, run: Run) -> None:
    folder = copy("run")
    before = rows(folder)
    done = run("experiments.run", "--resume", folder)
    assert rows(folder) == before
    if done.returncode == DONE:
        assert f"going on after {len(before)} evaluations" in done.stdout
        assert "best found" in done.stdout
    else:
        check_refused(done, "")


@pytest.mark.slow
def test_a_stopped_run_goes_on_or_is_refused(copy: Copy, run: Run) -> None:
    folder = copy("interrupted")
    before = rows(folder)
    done = run("experiments.run", "--resume", folder)
    assert rows(folder)[: len(before)] == before, "a finished evaluation was lost"
    if done.returncode == DONE:
        assert len(rows(folder)) > len(before)
        assert (folder / "best_allocation.json").is_file()
        assert "policy.zip is of an earlier version and not read" in done.stdout
        assert "a new policy is trained" in done.stdout
        assert (folder / "checkpoints" / "policy.safetensors").is_file()
    else:
        check_refused(done, "")


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="compiles for this machine")
def test_the_chosen_allocation_is_evaluated_and_exported_again(
    copy: Copy, run: Run, tmp_path: Path
) -> None:
    folder, bundle = copy("run"), tmp_path / "new"
    names = json.loads((folder / "evaluate.json").read_text()).keys()
    done = run("experiments.evaluate", folder, "--quiet")
    assert done.returncode == DONE, done.stderr
    assert json.loads((folder / "evaluate.json").read_text()).keys() >= names
    done = run("experiments.export", folder, "--output", bundle, "--no-onnx", "--quiet")
    assert done.returncode == DONE, done.stderr
    assert (bundle / "allocation.json").read_text() == (folder / "best_allocation.json").read_text()


def test_what_the_store_holds_is_found(copy: Copy) -> None:
    file = copy("store.sqlite")
    with sqlite3.connect(file) as connection:
        written = connection.execute("SELECT kind, key, document FROM results").fetchall()
    connection.close()
    assert {kind for kind, _, _ in written} == {"measurement", "evaluation", "layer-table"}
    with Store(file) as store:
        for kind, key, document in written:
            assert store.get(kind, json.loads(key)) == json.loads(document)


def test_a_flipped_byte_of_the_store_is_refused(copy: Copy) -> None:
    file = copy("store.sqlite")
    flip(file, 68)  # of the application's number in the header
    with pytest.raises(StoreError, match="SQLite file of another program"):
        Store(file)


@pytest.mark.skipif(platform.system() != "Linux", reason="the bundle's library is one for Linux")
def test_the_bundle_runs_or_is_for_another_cpu(copy: Copy, tmp_path: Path) -> None:
    bundle, inputs = copy("bundle"), tmp_path / "inputs.npy"
    np.save(inputs, np.zeros((3, 1, 8, 8), np.float32))
    done = subprocess.run(
        [sys.executable, bundle / "run.py", inputs], capture_output=True, text=True, cwd=tmp_path
    )
    if done.returncode == 0:
        lines = done.stdout.splitlines()
        assert [line.split()[0] for line in lines[:3]] == ["0", "1", "2"]
        assert lines[3].endswith("ms for one, median")
    else:
        last = done.stderr.strip().splitlines()[-1]
        assert "BundleError: this bundle " in last
        assert "export it for this target" in last


@pytest.mark.skipif(platform.system() != "Linux", reason="the bundle's library is one for Linux")
def test_the_bundle_is_loaded_and_computes_what_its_own_loader_does(
    copy: Copy, tmp_path: Path
) -> None:
    bundle, inputs, outputs = copy("bundle"), tmp_path / "x.npy", tmp_path / "y.npy"
    images = np.random.default_rng(0).uniform(0, 1, (3, 1, 8, 8)).astype(np.float32)
    np.save(inputs, images)
    command = map(str, (sys.executable, bundle / "run.py", inputs, outputs))
    own = subprocess.run([*command], capture_output=True, text=True, cwd=tmp_path)
    if own.returncode:
        with pytest.raises(BundleError, match="export it for this target"):
            Bundle(bundle)
        return
    now = Bundle(bundle)
    assert now.outputs == ("output",)
    np.testing.assert_array_equal(now.run(images), np.load(outputs))


@pytest.mark.parametrize("name", ["weights.bin", "program.so", "bundle.json"])
def test_a_flipped_byte_of_the_bundle_is_refused(copy: Copy, name: str) -> None:
    bundle = copy("bundle")
    flip(bundle / name, (bundle / name).stat().st_size // 2)
    done = subprocess.run([sys.executable, bundle / "run.py"], capture_output=True, text=True)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert f"{name} is damaged or was changed; export the bundle again" in last


@pytest.mark.slow
def test_a_finished_comparison_has_nothing_left_to_do(copy: Copy, run: Run, tmp_path: Path) -> None:
    folder, file = copy("compare"), tmp_path / "compare.json"
    jobs = (folder / "rows.jsonl").read_bytes()
    before = json.loads((folder / "comparison.json").read_text())
    config = ["--config", folder / "config.yaml"]
    done = run("experiments.compare", *config, *JOBS, "--output", folder, "--json", file)
    assert done.returncode == DONE, done.stderr
    assert (folder / "rows.jsonl").read_bytes() == jobs
    now = json.loads(file.read_text())
    assert now.keys() == {*before, "commit", "pairs"}
    assert now["pairs"] == []  # scores of single images were not kept
    for new, old in zip(now["rows"], before["rows"], strict=True):
        meant = {name.replace("accuracy", "score"): value for name, value in old.items()}
        assert meant.items() <= new.items()
        added = {name: new[name] for name in new.keys() - meant.keys()}
        assert added.pop("metric")["name"] == "accuracy"
        assert added.pop("beside") == {}
        assert set(added.values()) == {None}


@pytest.mark.slow
def test_a_staircase_is_still_written_in_the_same_form(run: Run, tmp_path: Path) -> None:
    before, file = json.loads((BEFORE / "staircase.json").read_text()), tmp_path / "now.json"
    flags = ["--shapes", "small", "--bits", "2", "4", "8", "--target.runner", "simulated"]
    done = run("experiments.staircase", *flags, "--json", file)
    assert done.returncode == DONE, done.stderr
    now = json.loads(file.read_text())
    assert now.keys() == {*before, "commit"}
    assert now["staircase_schema"] == before["staircase_schema"]
    for new, old in zip(now["layers"], before["layers"], strict=True):
        assert new.keys() == old.keys()
