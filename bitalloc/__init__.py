"""BitAlloc from Python: search the bit-widths of a network that a program holds in its hand.

>>> import bitalloc
>>> environment = bitalloc.make_env(data="digits")  # doctest: +SKIP
>>> result = bitalloc.search(network, {"train": ..., "test": ...})  # doctest: +SKIP

Everything here is a short way to what `python -m experiments.run` does, with the same defaults,
folders, figures and errors. `bitalloc.Client` asks a service to do it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import experiments.clash  # noqa: F401 - it refuses what is in the packages' place
except ModuleNotFoundError as error:
    if error.name != "experiments.clash":
        raise
    raise ImportError(
        "expected BitAlloc's package 'experiments', found another of that name in its place "
        "(rename it, or start from another folder)",
        name="experiments",
    ) from None

import gymnasium

import env  # noqa: F401 - it registers the environments that stay as they are

if TYPE_CHECKING:
    from bitalloc.environment import make_env
    from bitalloc.result import Result
    from bitalloc.searching import search
    from bitalloc.tables import layer_table
    from experiments.service.client.client import Client
    from hardware.errors import HardwareLostError
    from quant.allocation import Allocation
    from quant.errors import BitAllocError

__all__ = [
    "Allocation",
    "BitAllocError",
    "Client",
    "HardwareLostError",
    "Result",
    "layer_table",
    "make_env",
    "search",
]

_FROM = {
    "Allocation": "quant.allocation",
    "BitAllocError": "quant.errors",
    "Client": "experiments.service.client.client",
    "HardwareLostError": "hardware.errors",
    "Result": "bitalloc.result",
    "layer_table": "bitalloc.tables",
    "make_env": "bitalloc.environment",
    "search": "bitalloc.searching",
}
"""Where each name is: torch takes seconds to import, and a client needs none of it."""


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_FROM[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List what is here, imported or not."""
    return sorted({*globals(), *__all__})


_ID = "BitAlloc-v0"

# In place of the one that `env` registers, which has no defaults for what it is made of.
gymnasium.registry.pop(_ID, None)
gymnasium.register(id=_ID, entry_point="bitalloc.environment:from_registry")
