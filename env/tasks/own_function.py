"""The user's own functions, named as `package.module:function`."""

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

from torch import nn

from env.errors import TaskError
from quant.errors import BitAllocError


def find_function(name: str, key: str) -> Callable[..., Any]:
    """Import `package.module:function`.

    Args:
        name: The function's name; its module must be importable, as those in the current folder.
        key: The configuration's key, for messages.

    Raises:
        TaskError: no such module or function, or the module cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise TaskError(f"{key}: expected package.module:function, found {name!r}")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's module may fail in any way
        raise TaskError(
            f"{key}: cannot import {module_name}: {error or type(error).__name__}",
            "start from the folder that the module lies in, or install its package",
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise TaskError(f"{key}: {module_name} has no function {function_name!r}")
    if isinstance(function, nn.Module):
        raise TaskError(
            f"{key}: expected {name} to be a function that returns a network, found a network",
            f"def make(): return {function_name}",
        )
    return function  # type: ignore[no-any-return]


def source_of(thing: Any) -> str:
    """Return the source of a class or function, or its name where it is defined in no file."""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return getattr(thing, "__qualname__", repr(thing))


def module_digest(name: str) -> str:
    """Return a digest of the whole module of a function that was found: its helpers count, too."""
    source = source_of(sys.modules[name.partition(":")[0]])
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def call_function(name: str, key: str) -> Any:
    """Return what the user's function returns.

    Raises:
        TaskError: there is no such function, or it raises.
    """
    function = find_function(name, key)
    try:
        return function()
    except BitAllocError:
        raise
    except Exception as error:  # a user's function may fail in any way
        reason = next(iter(str(error).strip().splitlines()), "")
        module_name, _, function_name = name.partition(":")
        raise TaskError(
            f"{key}: {name} raised {type(error).__name__}{': ' if reason else ''}{reason}",
            f'see where: python -c "import {module_name}; {module_name}.{function_name}()"',
        ) from error
