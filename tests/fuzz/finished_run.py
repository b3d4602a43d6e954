"""A small finished run, made once, and commands that read copies of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.training.training_file import TrainingFile
from experiments import evaluate as evaluate_module
from experiments import run as run_module
from experiments.record import files
from experiments.record.run_folder import open_run
from experiments.record.shared_weights import SharedWeights
from experiments.report import command as report_module
from experiments.settings.run_config import RunConfig
from experiments.settings.started_commands import check_started
from experiments.stages.event_log import EventLog
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.stages.places import Places
from experiments.stages.recorder import Recorder
from experiments.stages.resume import Resumed
from experiments.terminal.exit_codes import DONE, run_command
from experiments.terminal.progress import LiveProgress

CONFIG = """
evaluations: 6
quiet: true
method: ppo
target: {runner: simulated}
protocol: {warmups: 0, repeats: 5}
energy: {meter: modelled, modelled_w: 3.5, idle_s: 0.001, window_s: 0.001}
env: {weights: shared, layers: ["conv1.0=4,8"], bit_choices: [2, 4, 8], calibration_images: 64,
      finetune: {steps: 1, compensation_images: 32, held_back_images: 50}}
final: {steps: 1, compensation_images: 32, held_back_images: 50}
ppo: {policy: run, posterior: false, race: 0,
      warm_up_episodes: 16, practice_episodes: 8, final_evaluations: 1, rollout_episodes: 8}
"""


def make_finished_run(root: Path) -> Path:
    """Search, evaluate, and return the run's folder."""
    root.mkdir(parents=True, exist_ok=True)
    file = root / "small.yaml"
    file.write_text(CONFIG)
    assert run_module.main(["--config", str(file), "--output", str(root)]) == DONE
    folder = (root / "latest").resolve()
    assert evaluate_module.main([str(folder)]) == DONE
    _add_rulers(folder / files.EVALUATIONS)
    return folder


def _add_rulers(file: Path) -> None:
    """Give each measurement what a machine's has, and a formula's has not."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    ruler = {"before_us": 9.5, "after_us": 9.5, "best_us": 9.25, "waited_s": 0.0, "slowdown": 1.02}
    for line in lines:
        line["measurement"]["facts"]["ruler"] = {**ruler, "cpu_share": 1.0}
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def copy_of(run: Path, empty: Path) -> Path:
    return Path(shutil.copytree(run, empty / run.name, symlinks=True))


class Readers:
    """The commands, of which only the search itself is left out: it takes seconds."""

    def __init__(self, config: RunConfig) -> None:
        with LiveProgress(quiet=True) as progress:
            self.setup: NetworkSetup = set_up_network(config, progress)

    def report(self, folder: Path) -> int:
        return report_module.main([str(folder)])

    def resume(self, folder: Path) -> int:
        """Go on up to the search, and read what that would read."""

        def command() -> int:
            _, config = open_run(folder)  # the flags over it take a third of a second
            check_started(config, "", folder)
            run_module.resume(folder, config, "python -m experiments.run --resume RUN")
            return DONE

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_module, "_search", self._read_past)
            patch.setattr(run_module, "write_report", lambda runs: None)  # see `report`
            patch.setattr(run_module, "write_hparams", lambda folder: None)
            patch.setattr(EventLog, "chart", nothing)
            return run_command(command)

    def evaluate(self, folder: Path) -> int:
        """Evaluate, as far as files of the run are read."""

        def stop(*_: object) -> object:
            raise KeyboardInterrupt

        def no_set_up(*_: object, **__: object) -> NetworkSetup:
            return self.setup

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(evaluate_module, "set_up_network", no_set_up)
            patch.setattr(evaluate_module, "reported_uniform", stop)
            code = evaluate_module.main([str(folder), "--quiet"])
        return DONE if code == 130 else code

    def whole(self, folder: Path) -> int:
        return run_module.main(["--resume", str(folder)])

    @property
    def cheap(self) -> tuple[Callable[[Path], int], ...]:
        return self.report, self.resume, self.evaluate

    def _read_past(self, config: RunConfig, past: Resumed, places: Places) -> None:
        if past.measured is not None:
            recorder = Recorder(config, past.measured, places, past.evaluations)
            weights = SharedWeights(places.folder.path)
            if recorder.evaluations and config.env.weights == "shared":
                weights.load(self.setup.network.clone(), len(past.evaluations))
            TrainingFile(weights.state_folder, "policy", _hear).load({})


def _hear(sentence: str) -> None:
    assert isinstance(sentence, str)


def files_of(run: Path) -> list[str]:
    return sorted(
        str(path.relative_to(run))
        for path in run.rglob("*")
        if path.is_file() and path.name not in ("lock", "run.log", "report.html")
    )


def ends_in(names: list[str], *endings: str) -> list[str]:
    return [name for name in names if name.endswith(endings)]


def nothing(*_: Any) -> None:
    """Do nothing."""
