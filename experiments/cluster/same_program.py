"""Whether a worker's machine has this one's BitAlloc and PyTorch, asked before it works."""

import socket
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from env.evaluating.stored_accuracies import code_digest
from experiments.errors import ConfigError

HOST = "host"
_SOURCES, _TORCH = "sources", "torch"


def asked_of_workers() -> Callable[[Any], dict[str, str]]:
    """Return what a worker says of its machine when it is called with itself.

    It is made here, so that Ray sends its code, and not a name that another version may lack.
    """

    def facts(worker: Any) -> dict[str, str]:
        from importlib.metadata import version as version_of
        from socket import gethostname

        try:
            from env.evaluating.stored_accuracies import code_digest as sources
        except ImportError:
            digest = ""
        else:
            digest = sources()
        return {"host": gethostname(), "sources": digest, "torch": version_of("torch")}

    return facts


def check_same(facts: Mapping[str, str]) -> None:
    """Refuse a worker that may come to something else than this process would.

    Args:
        facts: What it said.

    Raises:
        ConfigError: another BitAlloc or PyTorch is installed on its machine.
    """
    if facts[_SOURCES] != code_digest():
        found = "another version of BitAlloc"
    elif _release(facts[_TORCH]) != _release(version("torch")):
        found = f"PyTorch {facts[_TORCH]}, which is {version('torch')} here"
    else:
        return
    raise ConfigError(
        f"train.ray: expected what is installed here on the cluster's machine {facts[HOST]} as "
        f"well, found {found}",
        "install the same versions on each machine, and start Ray there anew",
    )


def is_elsewhere(facts: Mapping[str, str]) -> bool:
    """Return whether a worker is on another machine than this process."""
    return facts[HOST] != socket.gethostname()


def _release(name: str) -> str:
    """Return a version without what it was built for: a GPU's wheel has the CPU's arithmetic."""
    return name.partition("+")[0]
