"""Given: networks and data of a running program, under names that a configuration can have.

A configuration names functions, `package.module:function`. What a caller has in its hand gets such
a name here for as long as the process lives: `bitalloc.given:network_1229b410e663`.
"""

import copy
import hashlib
import pickle
from collections.abc import Callable
from typing import Any

from torch import nn

from env.errors import TaskError
from quant.records.state_digest import state_digest

_DIGITS = 12
_kept: dict[str, Any] = {}


def name_network(network: nn.Module) -> str:
    """Return a name for a network as it is now; later changes of it are not seen.

    Args:
        network: Trained, in any mode.
    """
    digest = hashlib.sha256(f"{network}\n{state_digest(network.state_dict())}".encode())
    return _keep(f"network_{digest.hexdigest()[:_DIGITS]}", copy.deepcopy(network))


def name_data(data: Any) -> str:
    """Return a name for data, in any form that `task.data` functions may return.

    Raises:
        TaskError: it cannot be told apart from other data.
    """
    try:
        content = pickle.dumps(data)
    except Exception as error:  # a user's own classes may fail in any way
        raise TaskError(
            f"data: expected arrays, tensors or data sets that can be pickled, found {error}",
            "give a function instead, as 'package.module:function'",
        ) from error
    return _keep(f"data_{hashlib.sha256(content).hexdigest()[:_DIGITS]}", data)


def _keep(name: str, value: Any) -> str:
    _kept[name] = value
    return f"{__name__}:{name}"


def __getattr__(name: str) -> Callable[[], Any]:
    """Return the function of a name; it raises TaskError once the process is another one."""
    if name.startswith("__"):
        raise AttributeError(name)

    def value() -> Any:
        if name not in _kept:
            raise TaskError(
                f"{name} was given from Python, by a process that has ended",
                "give network and data again to bitalloc.search, or name functions that return "
                "them: 'package.module:function'",
            )
        kept = _kept[name]
        return copy.deepcopy(kept) if isinstance(kept, nn.Module) else kept

    return value
