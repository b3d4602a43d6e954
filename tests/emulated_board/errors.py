"""Errors of the emulated board: it cannot be made here, or what it ran has failed."""

from hardware.errors import ToolchainError
from quant.errors import BitAllocError


class BoardUnavailable(ToolchainError):
    """Raised where the board cannot be made: no apt, no pip, or no network."""


class BoardProcessError(BitAllocError, RuntimeError):
    """Raised for a process that did not end well on the board."""

    def __init__(self, message: str, hint: str = "", *, returncode: int = 0) -> None:
        """Keep the exit status: `-signal.SIGILL` for an instruction that the CPU lacks."""
        super().__init__(message, hint)
        self.returncode = returncode
