"""Errors of the commands: what the user asked for cannot be read or written."""

from pathlib import Path
from shlex import quote

from quant.errors import BitAllocError
from quant.records.disk import what_helps


class ConfigError(BitAllocError, ValueError):
    """Raised for a configuration with unknown keys, wrong types or impossible values."""


class RunFolderError(BitAllocError, OSError):
    """Raised for a run folder that cannot be written, or is not one."""


class BenchError(BitAllocError, RuntimeError):
    """Raised for a benchmark that this machine or its packages cannot run."""


def cannot_write(path: Path, error: Exception, moved_by: str = "--output FOLDER") -> RunFolderError:
    """Return the error of a file that the disk does not take.

    Args:
        path: The file.
        error: What the file system said.
        moved_by: The flag that names another place.
    """
    reason = getattr(error, "strerror", None) or error
    return RunFolderError(f"cannot write {path}: {reason}", what_helps(error, moved_by))


def new_run_with(config: Path) -> str:
    """Return what to type where a run cannot go on: a new one, with its configuration."""
    return f"start a new run with --config {quote(str(config))}"
