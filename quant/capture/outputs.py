"""What an exported program returns: which tensors, what they are called, and in which shape."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import fx
from torch.utils import _pytree

from quant.capture.exported import is_fixed
from quant.errors import CaptureError
from quant.outputs import named_outputs

_aten = torch.ops.aten
_RESHAPES = frozenset(
    (
        *(_aten.view.default, _aten.reshape.default, _aten.flatten.using_ints),
        *(_aten.unflatten.int, _aten.squeeze.default, _aten.squeeze.dim, _aten.squeeze.dims),
        *(_aten.unsqueeze.default, _aten.contiguous.default, _aten.clone.default),
    )
)
"""Operators that keep every value and their order."""


def exported_outputs(
    node: fx.Node, structure: Any, batch: str
) -> Iterator[tuple[str, fx.Node, tuple[int, ...]]]:
    """Yield (name, computing node, shape without the batch) of each output.

    Whoever hands an output on brings it into its shape, so that reshaping at the end costs nothing.

    Args:
        node: The program's end.
        structure: How the user's forward pass returns its tensors, of `torch.utils._pytree`.
        batch: The size of the batch, as the program writes it.

    Raises:
        CaptureError: there is none, or one is no batch of floats.
    """
    results: Any = node.args[0]
    named = named_outputs(_pytree.tree_unflatten(results, structure))
    if not named:
        raise CaptureError("expected a network that returns tensors, found none")
    for name, value in named.items():
        shape = _shape(name, value, batch)
        while value.target in _RESHAPES and _is_batch(value.args[0].meta["val"], batch):
            value = value.args[0]
        yield name, value, shape


def _is_batch(value: Any, batch: str) -> bool:
    """Whether a value is a tensor of floats, the network's batch first and nowhere else."""
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32 or not value.ndim:
        return False
    return str(value.shape[0]) == batch and all(map(is_fixed, value.shape[1:]))


def _shape(name: str, value: Any, batch: str) -> tuple[int, ...]:
    made = value.meta["val"] if isinstance(value, fx.Node) else value
    if _is_batch(made, batch):
        return tuple(map(int, made.shape[1:]))
    found = type(made).__name__
    if isinstance(made, torch.Tensor):
        sizes = (str(size).replace(batch, "N") for size in made.shape)
        found = f"{str(made.dtype).removeprefix('torch.')} [{', '.join(sizes)}]"
    raise CaptureError(
        f"expected float32 [N, ...] for the output {name!r}, N inputs at a time, found {found}",
        "return what is computed for each input, and leave choices such as argmax to the caller",
    )
