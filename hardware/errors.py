"""Errors of the measuring side: a failed candidate is a value, a failed world is raised."""

from quant.errors import BitAllocError


class TargetError(BitAllocError, ValueError):
    """Raised for a target that does not exist or lacks what was asked of it."""


class ToolchainError(BitAllocError, RuntimeError):
    """Raised when no compiler or linker is at hand."""


class BuildError(BitAllocError, RuntimeError):
    """Raised for a graph that no kernel family can compute."""


class HardwareLostError(BitAllocError, RuntimeError):
    """Raised when the device cannot be brought back: the run saves and stops with exit code 3."""


class UnbelievableError(HardwareLostError):
    """Raised for a time or an energy that cannot be true, where it came in twice in a row."""


class BoardLostError(HardwareLostError):
    """Raised when a board does not answer or its session ended; it is tried again for a while."""


class BoardBusyError(BoardLostError):
    """Raised when all boards of a key are used by others; they are waited for."""
