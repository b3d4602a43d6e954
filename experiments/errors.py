"""Errors of the commands: what the user asked for cannot be read or written."""

from quant.errors import BitAllocError

__all__ = ["BenchError", "ConfigError", "RunFolderError"]


class ConfigError(BitAllocError, ValueError):
    """Raised for a configuration with unknown keys, wrong types or impossible values."""


class RunFolderError(BitAllocError, OSError):
    """Raised for a run folder that cannot be written, or is not one."""


class BenchError(BitAllocError, RuntimeError):
    """Raised for a benchmark that this machine or its packages cannot run."""
