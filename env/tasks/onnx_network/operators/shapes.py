"""Operators that change a shape and no value, and those that tell one."""

from math import prod
from typing import Any

import torch
from torch import nn

from env.tasks.onnx_network.builder import Builder
from env.tasks.onnx_network.node import OnnxNode
from env.tasks.onnx_network.value import BATCHES, Size, Value

_LONGEST_RANGE = 1_000_000
_SIZES_HINT = (
    "export it with a free batch: torch.onnx.export(..., dynamic_shapes=({0: torch.export.Dim('n')"
    "},)), or dynamic_axes={'input': {0: 'n'}}"
)


def shape(builder: Builder, node: OnnxNode) -> None:
    """Shape: at every size of the batch, also where the file fixes one."""
    value = builder.value(node, 0)
    start, end = node.get("start", 0), node.get("end")
    first, second, third = (torch.tensor(list(p.shape)[start:end]) for p in value.probes)
    builder.known(node, (first, second, third))


def size(builder: Builder, node: OnnxNode) -> None:
    """Size: the number of values."""
    first, second, third = (torch.tensor(p.numel()) for p in builder.value(node, 0).probes)
    builder.known(node, (first, second, third))


def reshape(builder: Builder, node: OnnxNode) -> None:
    """Reshape; where the file fixes the batch, sizes that were computed with it are undone."""
    value = builder.value(node, 0)
    if not value.computed:
        target = [int(n) for n in _known_once(builder, node, 1)]
        builder.call(node, reshaped, [value], sizes=_copied(node, target, value.probes[0]))
        return
    wanted = builder.shape(node, 1)
    if node.get("allowzero", 0) == 0:
        own = value.sizes
        if any(s == Size(0, 0) and place >= len(own) for place, s in enumerate(wanted)):
            raise node.refused("copies a size that its input does not have")
        wanted = [own[i] if s == Size(0, 0) else s for i, s in enumerate(wanted)]
    reshape_to(builder, node, value, _sizes_of_batch(builder, node, value, wanted))


def flatten(builder: Builder, node: OnnxNode) -> None:
    """Flatten to two dimensions."""
    value, axis = builder.value(node, 0), int(node.get("axis", 1))
    axis = axis + value.ndim if axis < 0 else axis
    if value.computed and axis == 0:
        raise node.refused("puts the images of a batch into one row", "flatten from axis 1 on")
    if not value.computed:
        sizes = list(value.probes[0].shape)
        builder.call(node, reshaped, [value], sizes=(prod(sizes[:axis]), prod(sizes[axis:])))
    elif axis == 1:
        builder.module(node, nn.Flatten(1), value)
    else:
        rows = [Size(0, 0), *map(_whole, value.sizes[axis:])]
        columns = prod(s.plus for s in rows[1:])
        reshape_to(builder, node, value, [None, columns])


def squeeze(builder: Builder, node: OnnxNode) -> None:
    """Squeeze."""
    value = builder.value(node, 0)
    axes = builder.numbers(node, 1, "axes")
    if axes is None:
        if value.computed and builder.batch == 1:
            raise node.refused(
                "takes away every size of 1, and the file fixes the batch to 1", _SIZES_HINT
            )
        axes = [i for i, s in enumerate(value.sizes) if s == Size(0, 1)]
    dims = tuple(sorted(axis % value.ndim for axis in axes))
    for dim in dims:
        if value.sizes[dim] != Size(0, 1):
            raise node.refused(
                "takes the batch away, which is 1 in the file"
                if value.sizes[dim].times
                else f"takes away a size of {value.sizes[dim].plus}, and not of 1",
                _SIZES_HINT if value.sizes[dim].times else "",
            )
    builder.call(node, torch.squeeze, [value], dim=dims)


def unsqueeze(builder: Builder, node: OnnxNode) -> None:
    """Unsqueeze."""
    value = builder.value(node, 0)
    axes = builder.numbers(node, 1, "axes") or []
    dims = tuple(sorted(axis % (value.ndim + len(axes)) for axis in axes))
    builder.call(node, _unsqueeze, [value], dims=dims)


def transpose(builder: Builder, node: OnnxNode) -> None:
    """Transpose."""
    value = builder.value(node, 0)
    order = tuple(node.get("perm", range(value.ndim)[::-1]))
    builder.call(node, torch.permute, [value], dims=order)


def expand(builder: Builder, node: OnnxNode) -> None:
    """Expand, to sizes that may depend on the batch."""
    value, wanted = builder.value(node, 0), builder.shape(node, 1)
    if value.computed and builder.batch is not None and wanted and value.ndim == len(wanted):
        fixed = Size(0, builder.batch)
        if value.sizes[0].times and wanted[0] == fixed:
            wanted[0] = value.sizes[0]
    if not any(s.times for s in wanted):
        builder.call(node, _expand, [value], sizes=tuple(s.plus for s in wanted))
        return
    builder.call(node, _expand_batch, [builder.input, value], sizes=tuple(wanted))


def tile(builder: Builder, node: OnnxNode) -> None:
    """Tile."""
    repeats = builder.shape(node, 1)
    value = builder.value(node, 0)
    if not any(s.times for s in repeats):
        builder.call(node, _tile, [value], repeats=tuple(s.plus for s in repeats))
        return
    builder.call(node, _tile_batch, [builder.input, value], repeats=tuple(repeats))


def constant_of_shape(builder: Builder, node: OnnxNode) -> None:
    """ConstantOfShape, also of one value for each image."""
    wanted = builder.shape(node, 0)
    value = node.get("value")
    value = torch.tensor(0.0) if value is None else value.reshape(())
    filled = Value(reference="", probes=(value,) * 3, computed=False)
    if any(s.times for s in wanted):
        builder.call(node, _expand_batch, [builder.input, filled], sizes=tuple(wanted))
    else:
        builder.call(node, _expand, [filled], sizes=tuple(s.plus for s in wanted))


def constant_range(builder: Builder, node: OnnxNode) -> None:
    """Range of known bounds, which may be the size of the batch."""
    values = builder.inputs(node)
    if any(value.computed for value in values):
        raise node.refused("counts up to what the network computes", "export it with fixed sizes")
    made = []
    for place in range(len(BATCHES)):
        start, end, step = (value.probes[place].item() for value in values)
        if not step or not -1 <= (end - start) / step < _LONGEST_RANGE:
            raise node.refused("has bounds of more values than are taken")
        made.append(torch.arange(start, end, step))
    first, second, third = made
    builder.known(node, (first, second, third))


def reshape_to(builder: Builder, node: OnnxNode, value: Value, sizes: list[int | None]) -> None:
    """Let a node's output be a value in another shape.

    Args:
        builder: What the network is made with.
        node: The operator.
        value: What it reads, the images one after the other.
        sizes: Of the new shape; None where the batch is.
    """
    rest = value.sizes[1:]
    if (
        len(sizes) == 2
        and value.sizes[0] == Size(1, 0)
        and sizes[0] is None
        and not any(s.times for s in rest)
        and sizes[1] == prod(s.plus for s in rest)
    ):
        builder.module(node, nn.Flatten(1), value)
        return
    builder.call(node, reshaped, [value], sizes=tuple(-1 if s is None else s for s in sizes))


def _sizes_of_batch(
    builder: Builder, node: OnnxNode, value: Value, wanted: list[Size]
) -> list[int | None]:
    """Return the sizes of a reshape: None where the batch is.

    A file whose batch is fixed has it in sizes such as `[1, 512]`. An image's values lie together,
    behind those of the images before it, so that a row that was of one batch is of each.
    """
    sizes, free = value.sizes, [i for i, s in enumerate(wanted) if s.times]
    if len(free) == 1 and wanted[free[0]].plus == 0:
        rest = [s.plus for s in wanted]
        if -1 not in rest:
            return [None if i == free[0] else s for i, s in enumerate(rest)]
        made = value.probes[0].reshape([s.at(BATCHES[0]) for s in wanted])
        return [None if i == free[0] else int(s) for i, s in enumerate(made.shape)]
    if free:
        raise node.refused("has the batch in several of its sizes", "")
    batches = [i for i, s in enumerate(sizes) if s.times]
    if len(batches) != 1 or sizes[batches[0]].plus:
        raise node.refused("reshapes values in which the batch is no size of its own")
    place = batches[0]
    plain = [s.plus for s in wanted]
    batch = builder.batch or 1
    before = prod(s.plus for s in sizes[:place])
    image = sizes[place].times * prod(s.plus for s in (*sizes[:place], *sizes[place + 1 :]))
    baked = builder.batch is not None or (plain[:1] == [1] and place == 0)
    if not baked and _keeps_images(plain, before, image):
        return [None if s == -1 else s for s in plain]
    total = image * batch
    known = prod(s for s in plain if s != -1)
    if plain.count(-1) > 1 or known <= 0 or total % known or (-1 not in plain and total != known):
        raise node.refused(
            f"makes the shape {plain} of {image:,} values of each image: the batch cannot be told",
            _SIZES_HINT,
        )
    plain = [total // known if s == -1 else s for s in plain]
    rows = [i for i in range(len(plain)) if prod(plain[:i]) == before and plain[i] % batch == 0]
    if not rows:
        raise node.refused(f"has no place for the batch in the shape {plain}", _SIZES_HINT)
    row = place if place in rows else rows[0]
    return [None if i == row else s for i, s in enumerate(plain)]


def _keeps_images(plain: list[int], before: int, image: int) -> bool:
    """Whether the size that is left open takes the batch, and is behind what was before it."""
    if plain.count(-1) != 1:
        return False
    place, known = plain.index(-1), prod(s for s in plain if s != -1)
    return known > 0 and image % known == 0 and prod(plain[:place]) == before


def _known_once(builder: Builder, node: OnnxNode, place: int) -> Any:
    found = builder.fixed(node, place)
    assert found is not None
    return found.reshape(-1)


def _copied(node: OnnxNode, target: list[int], tensor: torch.Tensor) -> tuple[int, ...]:
    if node.get("allowzero", 0):
        return tuple(target)
    return tuple(tensor.shape[i] if s == 0 else s for i, s in enumerate(target))


def _whole(size: Size) -> Size:
    if size.times:
        raise ValueError("the batch is not among the first sizes")
    return size


def reshaped(x: torch.Tensor, *, sizes: tuple[int, ...]) -> torch.Tensor:
    """Return a tensor in another shape, as a function with a name of its own."""
    return x.reshape(sizes)


def _unsqueeze(x: torch.Tensor, *, dims: tuple[int, ...]) -> torch.Tensor:
    for dim in dims:
        x = x.unsqueeze(dim)
    return x


def _expand(x: torch.Tensor, *, sizes: tuple[int, ...]) -> torch.Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, sizes))


def _expand_batch(given: torch.Tensor, x: torch.Tensor, *, sizes: tuple[Size, ...]) -> torch.Tensor:
    return _expand(x, sizes=tuple(s.at(given.shape[0]) for s in sizes))


def _tile(x: torch.Tensor, *, repeats: tuple[int, ...]) -> torch.Tensor:
    return x.repeat(repeats)


def _tile_batch(given: torch.Tensor, x: torch.Tensor, *, repeats: tuple[Size, ...]) -> torch.Tensor:
    return _tile(x, repeats=tuple(s.at(given.shape[0]) for s in repeats))
