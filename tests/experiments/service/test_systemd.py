"""The unit for systemd: the flags as they were typed, and nothing that systemd does not know."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bitalloc.command import main
from experiments.terminal.exit_codes import DONE


def unit(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert main(["serve", *flags, "--print-systemd-unit"]) == DONE
    return capsys.readouterr().out


def test_it_has_the_flags_as_typed(capsys: pytest.CaptureFixture[str]) -> None:
    text = unit(capsys, "--port", "9000")
    assert "bitalloc.command serve --port 9000 --folder /" in text
    assert "--print-systemd-unit" not in text


def test_it_names_the_tracker_of_this_users_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TVM_TRACKER_HOST", "shelf")
    monkeypatch.setenv("TVM_TRACKER_PORT", "9191")
    assert " --tracker shelf:9191\n" in unit(capsys)
    assert unit(capsys, "--tracker", "other:9190").count("--tracker") == 1


def test_systemd_replaces_nothing_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "50%$HOME"
    place.mkdir()
    monkeypatch.chdir(place)
    text = unit(capsys, "--folder", str(place))
    assert f"WorkingDirectory={tmp_path}/50%%$HOME\n" in text
    assert f"--folder '{tmp_path}/50%%$$HOME'" in text


def test_jobs_may_have_control_groups_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    lines = unit(capsys).splitlines()
    assert "Delegate=yes" in lines
    assert not any(line.startswith("ProtectControlGroups=") for line in lines), "read-only then"


def test_systemd_finds_nothing_wrong_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze")
    file = tmp_path / "bitalloc.service"
    (tmp_path / "a folder").mkdir()
    file.write_text(unit(capsys, "--folder", str(tmp_path / "a folder")))
    done = subprocess.run(
        [analyze, "verify", "--man=no", file], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
