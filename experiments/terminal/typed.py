"""Typed: what the user called the command that runs, for help and errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_typed: ContextVar[str] = ContextVar("typed", default="")


@contextmanager
def typed_as(program: str) -> Iterator[None]:
    """Say what was typed in place of `python -m` and a module, such as `bitalloc run`."""
    token = _typed.set(program)
    try:
        yield
    finally:
        _typed.reset(token)


def typed_program(module: str) -> str:
    """Return what was typed to start a module."""
    return _typed.get() or f"python -m {module}"


def typed_sibling(name: str) -> str:
    """Return what starts the command of a name, the way that this one was started."""
    facade = _typed.get().partition(" ")[0]
    return f"{facade} {name}" if facade else f"python -m experiments.{name}"
