"""Every mistake a user can make: one sentence, exit code 2, no traceback, nothing lost."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from bitalloc import command as facade
from env.tasks import TaskConfig, checkpoint_path, load_task
from experiments import run as run_module
from experiments.settings.configured import load_config
from experiments.settings.keys import dotted_keys
from experiments.settings.load import config_to_yaml, read_config_file
from experiments.settings.run_config import RunConfig
from experiments.terminal.exit_codes import DONE, INTERRUPTED, USER_MISTAKE, run_command
from quant.capture.capture import capture
from quant.errors import BitAllocError

SMALL = (
    *("--target.runner", "simulated", "--protocol.repeats", "5", "--quiet"),
    *("--env.finetune.compensation-images", "32", "--env.finetune.held-back-images", "50"),
    *("--env.bit-choices", "2", "4", "8", "--env.finetune.steps", "1", "--method", "uniform"),
)


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command, expect exit code 2 and one sentence, and return what was printed."""
    capsys.readouterr()
    assert run_module.main(arguments) == USER_MISTAKE
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert "Traceback" not in printed
    return printed


def test_a_budget_nobody_can_meet_names_the_smallest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (*SMALL, "--output", str(tmp_path))
    printed = mistake(capsys, *arguments, "--budget.latency-ms", "1e-6")
    smallest_ms = printed.partition("smallest reachable latency is ")[2].partition(" ms")[0]
    assert not (tmp_path / "latest" / "evaluations.jsonl").exists(), "nothing was trained"
    # The printed value itself can be asked for.
    assert run_module.main([*arguments, "--budget.latency-ms", smallest_ms]) == DONE
    assert "uniform 8 bits takes " in printed
    assert "smallest reachable model is" in mistake(
        capsys, *arguments, "--budget.model-bytes", "10"
    )


def test_a_missing_data_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (*SMALL, "--output", str(tmp_path), "--task.name", "fashion-mnist")
    printed = mistake(capsys, *arguments, "--task.data", str(tmp_path))
    assert str(tmp_path / "train-images-idx3-ubyte.gz") in printed
    assert "apt-get install" in printed


def test_a_truncated_float_checkpoint_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = checkpoint_path(load_task(TaskConfig()), 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = checkpoint_path(load_task(TaskConfig()), 0)
    path.parent.mkdir(parents=True)
    path.write_bytes(known.read_bytes()[:5000] if known.exists() else b"\x08" + b"\0" * 99)
    printed = mistake(capsys, *SMALL, "--output", str(tmp_path))
    assert f"rm {path}" in printed


def test_a_network_that_cannot_be_captured_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    class Curved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.first(x) if x.sum() > 0 else x

    def command() -> None:
        capture(Curved(), torch.zeros(1, 1, 8, 8))

    assert run_command(command) == USER_MISTAKE
    printed = capsys.readouterr().err
    assert "Curved cannot be captured" in printed
    assert "decides by values that it computed" in printed
    assert "Traceback" not in printed


def test_no_compiler_on_path_says_what_to_install(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    environment.pop("CXX", None)
    arguments = ["--output", str(tmp_path), "--target.kernel-cache", str(tmp_path / "kernels")]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", *arguments, "--method", "uniform", "--quiet"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == USER_MISTAKE, done.stderr
    assert "found none on PATH" in done.stderr
    assert "install g++ or clang" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(params=[48, 120])
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of so many kB of its own: filling it at different moments hurts nothing."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", f"size={request.param}k", "tmpfs", str(place)],
            capture_output=True,
            check=False,
        ).returncode
    ):
        pytest.skip("mounting a small tmpfs needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_run_folder_is_named(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = mistake(capsys, *SMALL, "--output", str(small_disk))
    assert str(small_disk) in printed
    assert "No space left" in printed or "full" in printed


def test_a_read_only_run_folder_is_named(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    printed = mistake(capsys, *SMALL, "--output", str(small_disk))
    assert "Read-only" in printed
    assert "--output" in printed


def test_a_corrupt_store_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"this is not a database, though it should be" * 99)
    printed = mistake(capsys, *SMALL, "--output", str(tmp_path))
    assert str(tmp_path / "store.sqlite") in printed
    assert "damaged" in printed


def test_a_configuration_of_a_newer_version_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "newer.yaml"
    file.write_text(config_to_yaml(RunConfig()).replace("config_schema: 5", "config_schema: 6"))
    printed = mistake(capsys, "--config", str(file))
    assert "written by a newer version: its config_schema is 6" in printed
    file.write_text(config_to_yaml(RunConfig()))
    assert read_config_file(file) == RunConfig()


def test_resuming_what_is_no_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = mistake(capsys, "--resume", str(tmp_path))
    assert f"{tmp_path} is not the folder of a run" in printed


KEYS = [*dotted_keys(RunConfig()), "task", "env.finetune", "env.reward", "nonsense", "target.x", ""]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.one_of(st.integers(-3, 12), st.text(max_size=3)), max_size=4),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


@pytest.mark.slow
@settings(
    max_examples=500,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=4))
def test_no_configuration_ends_in_another_exception(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    document: dict[str, object] = {}
    for key, value in changes.items():
        inner = document
        *sections, last = key.split(".")
        for section in sections:
            below = inner.setdefault(section, {})
            if not isinstance(below, dict):
                break
            inner = below
        inner[last] = value
    file = tmp_path / "fuzzed.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    flags = [
        f"--{key.replace('_', '-')}={value}" for key, value in changes.items() if key and value
    ]
    for arguments in (["--config", str(file)], flags):
        # Whatever is raised besides ends the test with its traceback.
        with contextlib.suppress(BitAllocError):
            assert isinstance(load_config(arguments), RunConfig)


def test_a_start_that_fails_leaves_latest_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (*SMALL, "--output", str(tmp_path))
    mistake(capsys, *arguments, "--budget.latency-ms", "1e-6")
    first = (tmp_path / "latest").resolve()
    assert first.is_dir(), "the only one there is"
    assert run_module.main(arguments) == DONE
    finished = (tmp_path / "latest").resolve()
    mistake(capsys, *arguments, "--budget.latency-ms", "1e-6", "--seed", "1")
    assert (tmp_path / "latest").resolve() == finished


def test_a_folder_that_was_moved_goes_on_with_the_store_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_module.main([*SMALL, "--output", "runs of mine"]) == DONE
    curves = capsys.readouterr().out.partition("curves: ")[2].splitlines()[0]
    assert len(shlex.split(curves)) == 3, curves
    (tmp_path / "runs of mine").rename(tmp_path / "moved")
    assert run_module.main(["--resume", "moved/latest", "--evaluations", "30"]) == DONE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["moved"]
    capsys.readouterr()


@pytest.mark.parametrize("started", ["python -m experiments.run", "bitalloc run"])
def test_a_command_to_paste_is_quoted_and_begins_as_it_was_typed(
    started: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "set_up_network", interrupted)
    typed_here = [*SMALL, "--output", str(tmp_path / "it's mine")]
    by_facade = started.startswith("bitalloc")
    code = facade.main(["run", *typed_here]) if by_facade else run_module.main(typed_here)
    assert code == INTERRUPTED
    printed = capsys.readouterr().err
    typed = printed.partition("go on with: ")[2].splitlines()[0]
    folder = str((tmp_path / "it's mine" / "latest").resolve())
    assert shlex.split(typed) == [*started.split(), "--resume", folder]
