"""Outputs: what a network returns, by the names that the user's forward pass gives them.

return logits                              output
return logits, boxes                       output.0, output.1
return {"logits": a, "boxes": (b, c)}      logits, boxes.0, boxes.1
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils import _pytree

from quant.errors import CaptureError

_MAIN = "logits"


def named_outputs(returned: Any) -> dict[str, Any]:
    """Return what a forward pass returned, one entry for each leaf of its tuples and dictionaries.

    None, which stands for an output that is not computed, is left out.

    Raises:
        CaptureError: two would have the same name.
    """
    paths, _ = _pytree.tree_flatten_with_path(returned)
    named: dict[str, Any] = {}
    for path, value in paths:
        name = _name(path)
        if name in named:
            raise CaptureError(f"expected outputs of different names, found two called {name!r}")
        if value is not None:
            named[name] = value
    return named


def main_output(names: Sequence[str]) -> int:
    """Return the place of the output that is trained and scored: `logits`, or else the first."""
    return names.index(_MAIN) if _MAIN in names else 0


def main_tensor(returned: Any) -> torch.Tensor:
    """Return the main output of what a user's network returned, training or not.

    Raises:
        CaptureError: it is no tensor.
    """
    if isinstance(returned, torch.Tensor):
        return returned
    outputs = named_outputs(returned)
    names = list(outputs)
    found = outputs[names[main_output(names)]] if names else None
    if not isinstance(found, torch.Tensor):
        raise CaptureError(
            f"expected a network that returns tensors, found {type(returned).__name__}",
            "return a tensor, or tuples, dictionaries and named tuples of tensors",
        )
    return found


def _name(path: Sequence[Any]) -> str:
    """Return an output's name: the keys on the way to it."""
    keys = [
        str(getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", entry))))
        for entry in path
    ]
    if not path or isinstance(path[0], _pytree.SequenceKey):
        keys.insert(0, "output")
    return ".".join(keys)
