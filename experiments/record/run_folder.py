"""RunFolder: the directory that is the record of one run."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from env.evaluating.evaluation import Evaluation
from experiments.errors import RunFolderError, cannot_write
from experiments.record import files
from experiments.record.lines import append_line
from experiments.record.run_record import RunRecord
from experiments.settings.load import config_to_yaml, read_config_file
from experiments.settings.run_config import RunConfig
from quant.records.atomic_file import atomic_file, write_atomically
from quant.records.json_form import json_text
from quant.records.regular_file import read_regular
from quant.records.strict_json import parse_json

_LATEST = "latest"
_PACKAGES = ("quant", "hardware", "env", "agents", "experiments")


class _LogFile(logging.FileHandler):
    """A log that a full disk cuts short: the files that count say so, and it never hides them."""

    def handleError(self, record: logging.LogRecord) -> None:  # logging's name
        """Say nothing of the disk's end."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)

    def close(self) -> None:
        """Close the file, whatever of it could not be written."""
        with suppress(OSError):
            super().close()


class RunFolder:
    """Writes the files of one run. Every file is complete at any moment, or appended by lines."""

    def __init__(self, path: Path) -> None:
        """Use an existing folder; `create` makes a new one."""
        self.path = path

    @classmethod
    def create(cls, config: RunConfig, target: str, now: float | None = None) -> "RunFolder":
        """Make `output/{task}__{target}__{method}__s{seed}__{time}` and point `latest` to it.

        Args:
            config: The resolved configuration.
            target: Short name of where programs run.
            now: Seconds since the epoch; None for the clock's.

        Raises:
            RunFolderError: the folder cannot be made.
        """
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
        name = f"{config.task.name}__{target}__{config.method}__s{config.seed}__{stamp}"
        root = Path(config.output)
        try:
            path = _make_new(root, name)
            folder = cls(path)
            write_config(folder, config)
            point_latest(root, path.name)  # last, so that what it points to can be resumed
        except OSError as error:
            raise RunFolderError(
                f"cannot make a run folder in {root}: {error.strerror or error}",
                "choose a writable folder with --output",
            ) from None
        return folder

    @property
    def record(self) -> RunRecord:
        """What is in the folder now."""
        return RunRecord(self.path)

    @property
    def events(self) -> Path:
        """Folder of the TensorBoard event files."""
        return self.path / files.EVENTS

    def write_text(self, name: str, text: str) -> Path:
        """Write one file by way of a temporary one, so that a reader never sees half of it.

        Raises:
            RunFolderError: the disk is full or read-only.
        """
        path = self.path / name
        try:
            write_atomically(path, text if text.endswith("\n") else text + "\n")
        except OSError as error:
            raise cannot_write(path, error) from None
        return path

    def append_text(self, name: str, line: str) -> None:
        """Append one line to a text file.

        Raises:
            RunFolderError: the disk is full or read-only.
        """
        path = self.path / name
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise cannot_write(path, error) from None

    def write_json(self, name: str, document: Any) -> Path:
        """Write a document, or what has one, as indented JSON."""
        return self.write_text(name, json_text(document, indent=2))

    def read_json(self, name: str) -> Any:
        """Read a JSON document of the run.

        Raises:
            RunFolderError: it is not there, or not JSON.
        """
        path = self.path / name
        try:
            return parse_json(read_regular(path))
        except OSError as error:
            raise RunFolderError(f"cannot read {path}: {error.strerror or error}") from None
        except ValueError as error:
            raise RunFolderError(f"cannot read {path}: {error}") from None

    def append_evaluation(self, evaluation: Evaluation) -> None:
        """Append one line to `evaluations.jsonl`, on the disk before this returns.

        Raises:
            RunFolderError: the disk is full or read-only.
        """
        append_line(self.path / files.EVALUATIONS, evaluation)

    @contextmanager
    def log(self) -> Iterator[None]:
        """Send the log records of our packages to `run.log` while the context is open.

        Raises:
            RunFolderError: the file cannot be opened.
        """
        try:
            handler = _LogFile(self.path / files.LOG, encoding="utf-8")
        except OSError as error:
            raise cannot_write(self.path / files.LOG, error) from None
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        loggers = [logging.getLogger(package) for package in _PACKAGES]
        for logger in loggers:
            logger.setLevel(logging.INFO)
            logger.addHandler(handler)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeHandler(handler)
            handler.close()


def open_run(path: Path, *, finished: bool = False) -> tuple[RunFolder, RunConfig]:
    """Open the folder of a run, which must have ended if `finished`.

    Raises:
        RunFolderError: no such folder, or its run did not finish.
        ConfigError: its configuration cannot be read by this version.
    """
    folder = RunFolder(RunRecord.open(path, finished=finished).path)
    return folder, read_config_file(folder.path / files.CONFIG)


def write_config(folder: RunFolder, config: RunConfig) -> None:
    """Write `config.yaml`, from which the same run can be started again."""
    folder.write_text(files.CONFIG, config_to_yaml(config))


def _make_new(root: Path, name: str) -> Path:
    """Make a folder that was not there; two runs in one second get different names."""
    root.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, 100):
        path = root / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"99 folders are called {name}")


def latest_run(root: Path) -> str:
    """Return the name of the folder that `latest` points to, empty where there is none."""
    link = root / _LATEST
    return os.readlink(link) if link.is_symlink() else ""


def point_latest(root: Path, name: str) -> None:
    """Replace the `latest` link in one step; a real file of that name is left alone."""
    link = root / _LATEST
    if link.exists() and not link.is_symlink():
        return
    with atomic_file(link) as made:
        made.symlink_to(name, target_is_directory=True)
