"""BitAlloc from Python: search the bit-widths of a network that a program holds in its hand.

>>> import bitalloc
>>> environment = bitalloc.make_env(data="digits")  # doctest: +SKIP
>>> result = bitalloc.search(network, {"train": ..., "test": ...})  # doctest: +SKIP

Everything here is a short way to what `python -m experiments.run` does, with the same defaults,
folders, figures and errors.
"""

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

from bitalloc.environment import make_env
from bitalloc.result import Result
from bitalloc.searching import search
from bitalloc.tables import layer_table
from hardware.errors import HardwareLostError
from quant.allocation import Allocation
from quant.errors import BitAllocError

__all__ = [
    "Allocation",
    "BitAllocError",
    "HardwareLostError",
    "Result",
    "layer_table",
    "make_env",
    "search",
]

_ID = "BitAlloc-v0"

# In place of the one that `env` registers, which has no defaults for what it is made of.
gymnasium.registry.pop(_ID, None)
gymnasium.register(id=_ID, entry_point="bitalloc.environment:from_registry")
