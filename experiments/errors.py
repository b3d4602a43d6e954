"""Errors of the commands: what the user asked for cannot be read or written."""

from pathlib import Path

from quant.errors import BitAllocError


class ConfigError(BitAllocError, ValueError):
    """Raised for a configuration with unknown keys, wrong types or impossible values."""


class RunFolderError(BitAllocError, OSError):
    """Raised for a run folder that cannot be written, or is not one."""


class BenchError(BitAllocError, RuntimeError):
    """Raised for a benchmark that this machine or its packages cannot run."""


def cannot_write(path: Path, error: Exception) -> RunFolderError:
    """Return the error of a file that the disk does not take."""
    reason = getattr(error, "strerror", None) or error
    return RunFolderError(f"cannot write {path}: {reason}", "free the disk or change --output")
