"""Bundles with whatever may happen to their files: answered as before, or refused in a sentence."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardware.runtime import run
from quant.integer import run_graph
from tests.fuzz.harms import MARK, Described
from tests.hardware.runtime.bundles import IMAGE, make_bundle, small_graph
from tests.hardware.runtime.harms import FILES, HARMS, INPUTS

DONE, USER_MISTAKE = 0, 2
CASES = 2000
FORKED_RUNS = Path(__file__).with_name("forked_runs.py")


class Runs:
    """A small bundle, inputs, what it must answer, and a process that runs copies of it."""

    def __init__(self, folder: Path) -> None:
        graph = small_graph()
        self.bundle = make_bundle(graph, folder / "bundle", folder / "kernels", dot_product=False)
        self.content = {name: (self.bundle / name).read_bytes() for name in FILES}
        images = np.random.default_rng(0).normal(size=(2, *IMAGE)).astype(np.float32)
        self.inputs = folder / "x.npy"
        np.save(self.inputs, images)
        self.expected = run_graph(graph, images)
        environment = {**os.environ, "PYTHONPATH": "", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(FORKED_RUNS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=environment,
        )

    def ask(self, script: Path, arguments: list[str], folder: Path) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(script), arguments, str(folder)]) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate(timeout=30)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    made = Runs(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.close()


def _changed(runs: Runs, bundle: Path) -> set[str]:
    """Return the files that are no longer what they were."""

    def content(name: str) -> bytes | None:
        path = bundle / name
        return path.read_bytes() if path.is_file() else None

    return {name for name in FILES if content(name) != runs.content[name]}


def _check(runs: Runs, harms: list[Described], folder: Path) -> int | None:
    bundle = Path(shutil.copytree(runs.bundle, folder / "bundle"))
    shutil.copyfile(runs.inputs, folder / INPUTS)
    for harm in harms:
        try:
            harm.work(bundle)
        except (OSError, ValueError):
            return None  # the first one took away what the second one needs
    changed = _changed(runs, bundle)
    code_changed = {name for name in changed if name.endswith(".py")}
    if "SHA256SUMS" in changed and code_changed | changed & {"program.so"}:
        return None  # code with sums of its own: whoever wrote them may do anything
    script = bundle / "run.py"
    if "run.py" in changed:  # what is started must be what it was
        script = Path(run.__file__)
    outputs = folder / "y.npy"
    inputs = folder / INPUTS
    arguments = ["--bundle", str(bundle), str(inputs), str(outputs)]
    answer = runs.ask(script, arguments, bundle)
    assert not answer["hung"], harms
    assert not (folder / MARK).exists(), harms
    assert "Traceback" not in answer["stderr"], answer["stderr"]
    assert answer["code"] in (DONE, USER_MISTAKE), answer
    if answer["code"] == USER_MISTAKE:
        (line,) = answer["stderr"].splitlines()
        assert line.startswith("error: ")
        assert len(line) < 1000, line
        assert not outputs.exists()
    if changed and "SHA256SUMS" not in changed:
        assert answer["code"] == USER_MISTAKE
        assert set(answer["executed"]) <= {"run.py"}
    assert set(answer["executed"]) <= set(FILES)
    same_inputs = inputs.read_bytes() == runs.inputs.read_bytes()
    if answer["code"] == DONE and not changed and same_inputs:
        np.testing.assert_array_equal(np.load(outputs), runs.expected)
    return int(answer["code"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_harmed_bundle_answers_as_before_or_is_refused_in_a_sentence(runs: Runs) -> None:
    codes: list[int | None] = []

    @settings(
        max_examples=CASES + CASES // 5,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(HARMS, min_size=1, max_size=2))
    def cases(harms: list[Described]) -> None:
        with tempfile.TemporaryDirectory(dir=runs.bundle.parent) as folder:
            codes.append(_check(runs, harms, Path(folder)))

    cases()
    counts = {code: codes.count(code) for code in (DONE, USER_MISTAKE)}
    print(counts, f"and {codes.count(None)} that could not be harmed so")
    assert sum(counts.values()) >= CASES
    assert min(counts.values()) > CASES // 50


def test_the_fuzz_itself_sees_an_answer_and_an_executed_file(runs: Runs, tmp_path: Path) -> None:
    assert _check(runs, [], tmp_path) == DONE
    answer = runs.ask(tmp_path / "bundle" / "run.py", [], tmp_path / "bundle")
    assert "hardware/runtime/loader.py" in answer["executed"]
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text("import time; time.sleep(60)")
    assert runs.ask(sleeper, [], tmp_path)["hung"]
