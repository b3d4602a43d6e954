"""Outputs: what a network returns, by the names that the user's forward pass gives them.

return logits                              output
return logits, boxes                       output.0, output.1
return {"logits": a, "boxes": (b, c)}      logits, boxes.0, boxes.1
"""

from collections.abc import Iterable, Sequence
from typing import Any, Self, TypeAlias

import torch
from torch.utils import _pytree

from quant.errors import CaptureError

_MAIN = "logits"


class NamedTensors(tuple[torch.Tensor, ...]):
    """Several outputs, each `[N, ...]`, in the order and by the names that the network gives."""

    names: tuple[str, ...]

    def __new__(cls, tensors: Iterable[torch.Tensor], names: Sequence[str]) -> Self:
        """Name tensors, as many as there are names."""
        made = super().__new__(cls, tensors)
        made.names = tuple(names)
        return made


Outputs: TypeAlias = torch.Tensor | NamedTensors
"""What a network returns for a batch: `[N, ...]`, or a tuple of such where it has several."""


def several(tensors: Iterable[torch.Tensor], names: Sequence[str]) -> Outputs:
    """Return tensors as the outputs of a network: one as it is."""
    made = NamedTensors(tensors, names)
    return made if len(made) > 1 else made[0]


def as_outputs(returned: Any) -> Outputs:
    """Return the tensors that a user's network returned, training or not.

    Raises:
        CaptureError: the main output is no tensor, or two would have the same name.
    """
    if isinstance(returned, torch.Tensor | NamedTensors):
        return returned
    main_tensor(returned)
    named = named_outputs(returned)
    tensors = {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}
    return several(tensors.values(), tuple(tensors))


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
    if isinstance(returned, NamedTensors):
        return returned[main_output(returned.names)]
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
