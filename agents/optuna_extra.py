"""Optuna, where a method needs it: an extra, imported when it is used."""

from typing import Any

from agents.errors import MissingExtraError


def import_optuna(method: str, extra: str) -> Any:
    """Return the package, which prints warnings alone.

    Args:
        method: Who needs it.
        extra: Of the project, which installs it.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise MissingExtraError(
            f"expected the package optuna for the method {method}, found none installed",
            f'pip install "bitalloc[{extra}]"',
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
