"""MeterError: the one error of the energy meters, in the project's two parts."""


class MeterError(Exception):
    """Raised where energy cannot be read.

    It is no error of the project's own tree: this package imports the standard library alone,
    so that a board can have it without the rest.

    Args:
        message: One sentence: what was expected, what was found, and where.
        hint: What helps.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the two parts."""
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message followed by the hint."""
        return f"{self.message} ({self.hint})" if self.hint else self.message
