"""A run's folder may come from somebody else: the command of its meter is not started unasked."""

from pathlib import Path

import pytest

from experiments import evaluate as evaluate_module
from experiments import run as run_module
from experiments.record.run_folder import RunFolder, write_config
from experiments.settings.run_config import RunConfig
from experiments.settings.started_commands import check_started
from experiments.terminal.exit_codes import USER_MISTAKE
from hardware.measuring.energy_config import EnergyConfig


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that the folder's command would make."""
    return tmp_path / "started"


@pytest.fixture
def folder(tmp_path: Path, marker: Path) -> Path:
    energy = EnergyConfig(meter="external", command=f"touch {marker}")
    config = RunConfig(output=str(tmp_path / "runs"), energy=energy)
    made = RunFolder.create(config, "local")
    write_config(made, config)
    for finished in ("results.json", "best_allocation.json"):
        (made.path / finished).write_text("{}")
    return made.path


@pytest.mark.parametrize("flags", [[], ["--energy.command", "another"]])
def test_resuming_and_evaluating_show_the_command_and_start_nothing(
    folder: Path, marker: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    for main, arguments in (
        (run_module.main, ["--resume", str(folder)]),
        (evaluate_module.main, [str(folder)]),
    ):
        assert main([*arguments, *flags]) == USER_MISTAKE
        told = " ".join(capsys.readouterr().err.split())
        assert f"would start `touch {marker}` as its energy meter" in told
        assert f"add --energy.command 'touch {marker}'" in told
        assert "Traceback" not in told
    assert not marker.exists()


def test_a_command_that_is_named_again_is_agreed_to(folder: Path, marker: Path) -> None:
    energy = EnergyConfig(meter="external", command=f"touch {marker}")
    check_started(RunConfig(energy=energy), f"touch {marker}", folder)
    check_started(RunConfig(), "", folder)
