"""The folder of a comparison: what was measured, what is finished, and how it all was asked for."""

from pathlib import Path

from experiments.compare.plan import Plan
from experiments.compare.shared import SharedTimes
from experiments.errors import RunFolderError
from experiments.record import files
from experiments.record.run_folder import RunFolder, write_config
from experiments.settings.keys import dotted_values
from experiments.settings.load import read_config_file
from experiments.settings.run_config import RunConfig
from quant.json_form import from_plain
from quant.sensitivities import SensitivityTable

__all__ = ["ROWS", "UNIFORM", "CompareFolder"]

ROWS, UNIFORM = "rows.jsonl", "uniform.jsonl"
_TIMES = "times.json"
_FREE = ("method", "seed", "evaluations", "output", "store", "quiet")
"""Keys that the plan sets, or that decide no figure."""


class CompareFolder(RunFolder):
    """Files of a comparison beside the folders of its jobs."""

    @classmethod
    def open(cls, path: Path, config: RunConfig) -> "CompareFolder":
        """Make the folder, or go on in it.

        Raises:
            RunFolderError: it belongs to a comparison with other settings; names one.
        """
        try:
            (path / "jobs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(
                f"cannot make the folder {path}: {error.strerror}",
                "choose a writable folder with --output",
            ) from None
        folder = cls(path)
        if not (path / files.CONFIG).exists():
            write_config(folder, config)
            return folder
        before, now = dotted_values(read_config_file(path / files.CONFIG)), dotted_values(config)
        for key, value in now.items():
            if key not in _FREE and before.get(key) != value:
                raise RunFolderError(
                    f"{path} is a comparison with {key} = {before.get(key)}, found {value}; one "
                    "comparison never mixes two settings",
                    "give another folder to --output",
                )
        return folder

    def check_plan(self, plan: Plan) -> None:
        """Refuse to go on under another evaluation limit; methods, budgets and seeds may be added.

        Raises:
            RunFolderError: the limit is another one.
        """
        if not (self.path / "plan.json").exists():
            self.write_json("plan.json", plan)
            return
        before = self.read_json("plan.json")["evaluations"]
        if before != plan.evaluations:
            raise RunFolderError(
                f"{self.path} was begun with --evaluations {before}, found {plan.evaluations}",
                "give another folder to --output",
            )
        self.write_json("plan.json", plan)

    def read_times(self) -> SharedTimes | None:
        """Return the times that all jobs share, None before they were measured."""
        if not (self.path / _TIMES).exists():
            return None
        return from_plain(SharedTimes, self.read_json(_TIMES))

    def write_times(self, times: SharedTimes) -> None:
        """Keep the times that all jobs share."""
        self.write_json(_TIMES, times)

    def read_sensitivity(self, seed: int) -> SensitivityTable | None:
        """Return the sensitivities of one seed's network, None before they were measured."""
        if not (self.path / _sensitivities(seed)).exists():
            return None
        return from_plain(SensitivityTable, self.read_json(_sensitivities(seed)))

    def write_sensitivity(self, seed: int, table: SensitivityTable) -> None:
        """Keep the sensitivities of one seed's network."""
        self.write_json(_sensitivities(seed), table)


def _sensitivities(seed: int) -> str:
    return f"sensitivities__s{seed}.json"
