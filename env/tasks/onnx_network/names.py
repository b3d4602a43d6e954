"""Names of a file, as modules and sentences may have them."""

import re
from collections import Counter

from torch import nn

_LONGEST = 60
_DEEPEST = 8
_PARAMETERS = frozenset({"weight", "bias", "W", "B", "kernel"})


def shown(name: str) -> str:
    """Return a name as a sentence may have it: on one line, without what moves a terminal."""
    plain = "".join(c if c.isprintable() else "?" for c in name[: _LONGEST + 1])
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 3] + "..."


def layer_name(parameter: str, node: str, kind: str) -> str:
    """Return what a layer is called, as a path of modules: after its weights, or else its node.

    Args:
        parameter: Name of its weights, `layer1.0.conv1.weight` from PyTorch; or empty.
        node: Name of its node, `/layer1/layer1.0/conv1/Conv` from PyTorch; or empty.
        kind: Its operator.
    """
    path, _, last = parameter.rpartition(".")
    if path and last in _PARAMETERS:
        return _path(path.split("."))
    parts = [part for part in node.split("/") if part]
    if len(parts) > 1 and re.fullmatch(rf"{re.escape(kind)}(_\d+)?", parts[-1]):
        parts.pop()
    # PyTorch writes each module with those that it lies in: layer1, layer1.0, conv1.
    kept = [
        part
        for part, after in zip(parts, [*parts[1:], ""], strict=False)
        if not after.startswith(f"{part}.")
    ]
    return _path([piece for part in kept for piece in part.split(".")] or [kind.lower()])


def free_name(path: str, called: Counter[str], root: nn.Module) -> str:
    """Return a path that no module has yet, and no attribute of one.

    Args:
        path: As it is wanted.
        called: How many were called so already; counts this one.
        root: Where the modules are.
    """
    while True:
        called[path] += 1
        wanted = path if called[path] == 1 else f"{path}_{called[path]}"
        if _is_free(wanted, root):
            return wanted


def _is_free(path: str, root: nn.Module) -> bool:
    """Whether a module can be put there: nothing on the way is a layer, or has that name."""
    *way, last = path.split(".")
    for part in way:
        if not hasattr(root, part):
            return True
        root = getattr(root, part)
        if type(root) is not nn.Module:
            return False
    return not hasattr(root, last)


def _path(parts: list[str]) -> str:
    clean = [re.sub(r"[^A-Za-z0-9_]+", "_", part)[:_LONGEST].strip("_") for part in parts]
    clean = [part for part in clean if part][-_DEEPEST:]
    return ".".join(f"{part}_" if hasattr(_PLAIN, part) else part for part in clean) or "node"


_PLAIN = nn.Module()
