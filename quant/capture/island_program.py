"""Islands as programs: exported for a compiler, in operators that it has and computes rightly.

What is rewritten here, TVM 0.27 lacks, computes wrongly, or computes by calls that a program of
kernels cannot make.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.export import default_decompositions

_aten = torch.ops.aten


@torch.no_grad()
def export_island(module: nn.Module, shapes: Sequence[tuple[int, ...]]) -> Any:
    """Return an island as `torch.export` has it, in PyTorch's core operators.

    Indices count from the front: TVM reads other memory than the tensor's where they are negative.

    Args:
        module: The island.
        shapes: Of its inputs, batch included.
    """
    examples = tuple(torch.zeros(shape) for shape in shapes)
    with warnings.catch_warnings():
        # torch warns of its own tree specification when it copies a program.
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.export.export(module, examples)
        program = program.run_decompositions({**default_decompositions(), **_DECOMPOSITIONS})
    for node in reversed(program.graph.nodes):
        if node.op == "call_function" and not node.users:  # an assertion: no kernel raises
            program.graph.erase_node(node)
    return program


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


def _index(x: torch.Tensor, indices: Sequence[torch.Tensor | None]) -> Any:
    """Take values at integers, as one choice along one axis.

    The axes that are chosen from lie side by side; else it stays as it is.
    """
    axes = [axis for axis, index in enumerate(indices) if index is not None]
    chosen = [index for index in indices if index is not None]
    adjacent = axes == list(range(axes[0], axes[-1] + 1))
    if not adjacent or any(index.dtype not in (torch.int64, torch.int32) for index in chosen):
        return NotImplemented
    chosen = list(torch.broadcast_tensors(*chosen))
    before, sizes, after = (
        x.shape[: axes[0]],
        x.shape[axes[0] : axes[-1] + 1],
        x.shape[axes[-1] + 1 :],
    )
    place = chosen[0] % sizes[0]
    for index, size in zip(chosen[1:], sizes[1:], strict=True):
        place = place * size + index % size
    flat = x.reshape(*before, -1, *after)
    taken = _aten.index_select.default(flat, axes[0], place.reshape(-1))
    return taken.reshape(*before, *place.shape, *after)


def _cumsum(x: torch.Tensor, dim: int, dtype: torch.dtype | None = None) -> Any:
    if not x.is_floating_point():
        return NotImplemented
    size = x.shape[dim]
    earlier = torch.arange(size)[:, None] <= torch.arange(size)[None, :]
    return (x.movedim(dim, -1) @ earlier.to(x.dtype)).movedim(-1, dim)


def _adaptive_max_pool(x: torch.Tensor, sizes: Sequence[int]) -> Any:
    """Take the largest of each window; what wants to know where it lay is left without."""
    rows, columns = (
        [(place * size // count, -(-(place + 1) * size // count)) for place in range(count)]
        for size, count in zip(x.shape[-2:], sizes, strict=True)
    )
    windows = [
        x[..., top:bottom, left:right].amax((-2, -1))
        for top, bottom in rows
        for left, right in columns
    ]
    pooled = torch.stack(windows, -1).reshape(*x.shape[:-2], *sizes)
    return pooled, torch.zeros(pooled.shape, dtype=torch.int64)


def _nearest(x: torch.Tensor, sizes: Sequence[int] | None, factors: Sequence[float] | None) -> Any:
    """Choose pixels by PyTorch's own arithmetic in float32, which TVM rounds another way."""
    for axis in (2, 3):
        size = x.shape[axis]
        if sizes is not None:
            wanted, step = sizes[axis - 2], size / sizes[axis - 2]
        else:
            assert factors is not None
            wanted, step = int(size * factors[axis - 2]), 1.0 / factors[axis - 2]
        places = (torch.arange(wanted, dtype=torch.float32) * step).to(torch.int64)
        x = _aten.index_select.default(x, axis, places.clamp(0, size - 1))
    return x


def _standardized(x: torch.Tensor, dims: list[int], epsilon: float) -> torch.Tensor:
    """Take away the mean and divide by the deviation, one after the other.

    TVM's norms take both from one pass, and lose the variance where the mean is much larger. The
    mean is taken twice, as its own rounding would be divided by a deviation of nearly nothing.
    """
    near = x - x.mean(dims, keepdim=True)
    centred = near - near.mean(dims, keepdim=True)
    variance = (centred * centred).mean(dims, keepdim=True)
    made: torch.Tensor = centred * (variance + epsilon).rsqrt()
    return made


def _scaled(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    shape: Sequence[int],
) -> torch.Tensor:
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def _layer_norm(
    x: torch.Tensor,
    shape: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    made = _standardized(x, list(range(-len(shape), 0)), eps)
    return _scaled(made, weight, bias, shape)


def _group_norm(
    x: torch.Tensor,
    groups: int,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    grouped = x.reshape(x.shape[0], groups, -1)
    made = _standardized(grouped, [2], eps).reshape(x.shape)
    return _scaled(made, weight, bias, (1, -1, *[1] * (x.ndim - 2)))


def _instance_norm(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor | None,
    variance: torch.Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Any:
    if not use_input_stats:
        return NotImplemented  # a batch norm
    return _group_norm(x, x.shape[1], weight, bias, eps)


def _extreme(value: Any, place: Any) -> Callable[..., Any]:
    """Return what takes the extreme along an axis and its place."""

    def decomposed(x: torch.Tensor, dim: int, keepdim: bool = False) -> Any:
        return value(x, [dim], keepdim), place(x, dim, keepdim)

    return decomposed


_DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    _aten.select.int: _select,
    _aten.slice.Tensor: _slice,
    _aten.split_with_sizes.default: _split_with_sizes,
    _aten.index.Tensor: _index,
    _aten.cumsum.default: _cumsum,
    _aten.adaptive_max_pool2d.default: _adaptive_max_pool,
    _aten.upsample_nearest2d.vec: _nearest,
    _aten.layer_norm.default: _layer_norm,
    _aten.group_norm.default: _group_norm,
    _aten.instance_norm.default: _instance_norm,
    _aten.max.dim: _extreme(_aten.amax.default, _aten.argmax.default),
    _aten.min.dim: _extreme(_aten.amin.default, _aten.argmin.default),
}
