"""The folder of a comparison: what was measured, what is finished, and how it all was asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from experiments.compare.plan import Plan
from experiments.errors import RunFolderError
from experiments.record import files
from experiments.record.run_folder import RunFolder, write_config
from experiments.settings.keys import dotted_values
from experiments.settings.load import read_config_file
from experiments.settings.run_config import RunConfig
from quant.records.json_form import from_plain

T = TypeVar("T")

ROWS, UNIFORM = "rows.jsonl", "uniform.jsonl"
_PLAN = "plan.json"
_FREE = ("method", "seed", "evaluations", "output", "store", "quiet", "train.ray", "train.workers")
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
        if (self.path / _PLAN).exists():
            before = self.read_json(_PLAN)["evaluations"]
            if before != plan.evaluations:
                raise RunFolderError(
                    f"{self.path} was begun with --evaluations {before}, found {plan.evaluations}",
                    "give another folder to --output",
                )
        self.write_json(_PLAN, plan)

    def keep(self, name: str, kind: type[T], measure: Callable[[], T]) -> T:
        """Return what a file keeps of an earlier part, or measure and keep it now.

        Args:
            name: Of the file.
            kind: What it holds.
            measure: Called where there is no file yet.
        """
        if (self.path / name).exists():
            return from_plain(kind, self.read_json(name))
        made = measure()
        self.write_json(name, made)
        return made
