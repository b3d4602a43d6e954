"""The project's errors: each says what was expected, what was found, and what helps."""


class BitAllocError(Exception):
    """Root of every error that a user can cause or cure.

    Args:
        message: One sentence: what was expected, what was found, and where.
        hint: The command or change that helps, shown after the message.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the two parts, so that the command line can print them apart."""
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message followed by the hint."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class AllocationError(BitAllocError, ValueError):
    """Raised for an allocation that does not fit its network or the bit choices."""


class CaptureError(BitAllocError, ValueError):
    """Raised for a network that cannot be captured as a graph of known operators."""


class ConvertError(BitAllocError, ValueError):
    """Raised for a network whose quantized form breaks a bound of the integer semantics."""


class DataError(BitAllocError, ValueError):
    """Raised for a data set or checkpoint that is missing, truncated or not what it claims."""


class TrainingError(BitAllocError, ValueError):
    """Raised for settings that cannot train, and when the loss stops being a number."""


class ObjectiveError(BitAllocError, ValueError):
    """Raised for a loss or a metric that does not fit the network's outputs or the labels."""
