"""FloatIsland: operators without integer forms, kept together as a module that runs in float32.

Codes go in dequantized by one multiplication, and come out quantized again (docs/integers.md,
"Between layers").
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FloatIsland:
    """One island of the captured network."""

    name: str
    """Of its node."""
    operators: tuple[str, ...]
    """PyTorch's names, in execution order."""
    reason: str
    """Why the first of them has no integer form, and where it is."""
    module: nn.Module
    """Takes the node's inputs, float32 `[N, C, H, W]` or `[N, F]`, and returns its output."""


def island_digest(module: nn.Module) -> str:
    """Return a digest of what an island computes: its operators and its values."""
    digest = hashlib.sha256(str(getattr(module, "code", module)).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.detach().contiguous().numpy().data)
    return digest.hexdigest()


@torch.no_grad()
def island_shapes(
    module: fx.GraphModule, shapes: Sequence[tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor inside an island, by the name of its node.

    Args:
        module: The island.
        shapes: Of its inputs, batch included.
    """
    found: dict[str, tuple[int, ...]] = {}

    class Watched(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            if isinstance(result, torch.Tensor):
                found[n.name] = tuple(result.shape)
            return result

    Watched(module).run(*(torch.zeros(shape) for shape in shapes))
    return found


@torch.no_grad()
def run_island(
    module: nn.Module, inputs: Sequence[npt.NDArray[np.float32]]
) -> npt.NDArray[np.float32]:
    """Return what an island computes, on arrays, batch first."""
    result: torch.Tensor = module(*(torch.from_numpy(np.ascontiguousarray(x)) for x in inputs))
    made: npt.NDArray[np.float32] = result.numpy()
    return made
