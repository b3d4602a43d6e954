"""Islands as programs: exported for a compiler, in operators that it has and computes rightly."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.export import default_decompositions

_aten = torch.ops.aten
_END = 2**63 - 1


@torch.no_grad()
def export_island(module: nn.Module, shapes: Sequence[tuple[int, ...]]) -> Any:
    """Return an island as `torch.export` has it, in PyTorch's core operators.

    Indices count from the front: TVM reads other memory than the tensor's where they are negative.

    Args:
        module: The island.
        shapes: Of its inputs, batch included.
    """
    examples = tuple(torch.zeros(shape) for shape in shapes)
    program = torch.export.export(module, examples)
    return program.run_decompositions({**default_decompositions(), **_DECOMPOSITIONS})


def _select(x: torch.Tensor, dim: int, index: int) -> Any:
    index %= x.shape[dim]
    return _aten.squeeze.dim(_aten.slice.Tensor(x, dim, index, index + 1), dim)


def _slice(
    x: torch.Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Any:
    plain = slice(start, end, step).indices(x.shape[dim])
    if (start, end, step) == plain:
        return NotImplemented  # it may stay
    return _aten.slice.Tensor(x, dim, plain[0], max(plain[:2]), step)


def _split_with_sizes(x: torch.Tensor, sizes: Sequence[int], dim: int = 0) -> list[torch.Tensor]:
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return [
        _aten.slice.Tensor(x, dim, start, start + size)
        for start, size in zip(starts, sizes, strict=True)
    ]


_DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    _aten.select.int: _select,
    _aten.slice.Tensor: _slice,
    _aten.split_with_sizes.default: _split_with_sizes,
}
