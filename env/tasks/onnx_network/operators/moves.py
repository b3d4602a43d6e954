"""Operators that pick, join and move values."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from env.tasks.onnx_network.builder import Builder
from env.tasks.onnx_network.node import OnnxNode
from env.tasks.onnx_network.operators.shapes import reshape_to, reshaped
from env.tasks.onnx_network.operators.windows import pad_module
from env.tasks.onnx_network.value import BATCHES, Size, Value

_PADS = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def concat(builder: Builder, node: OnnxNode) -> None:
    """Concat; a constant beside what is computed is there for each image."""
    values = builder.inputs(node)
    axis = int(node.get("axis", 1)) % max(values[0].ndim, 1)
    first = next((value for value in values if value.computed), None)
    if first is not None and axis != 0 and first.sizes[0].times:
        alone = [v for v in values if not v.computed and v.fixed and len(v.probes[0]) == 1]
        if alone:
            builder.call(node, _concat_for_each, values, axis=axis, one=values.index(first))
            return
    if len(values) == 1:
        builder.forward_name(node, values[0])
    else:
        builder.call(node, _concat, values, axis=axis)


def split(builder: Builder, node: OnnxNode) -> None:
    """Split into equal parts, or into parts of known sizes."""
    value, parts = builder.value(node, 0), len(node.outputs)
    axis = int(node.get("axis", 0)) % value.ndim
    sizes = builder.numbers(node, 1, "split")
    if sizes is None:
        whole = _fixed_size(node, value, axis)
        part = -(-whole // parts)
        sizes = [part] * (parts - 1) + [whole - part * (parts - 1)]
    builder.call(node, _split, [value], sizes=tuple(sizes), axis=axis)


def cut(builder: Builder, node: OnnxNode) -> None:
    """Slice, with bounds that are attributes before opset 10, and inputs since then."""
    value = builder.value(node, 0)
    if node.get("starts") is not None:
        starts, ends = ([Size(0, n) for n in node.get(name)] for name in ("starts", "ends"))
        axes, steps = node.get("axes"), None
    else:
        starts, ends = builder.shape(node, 1), builder.shape(node, 2)
        axes, steps = builder.numbers(node, 3), builder.numbers(node, 4)
    axes = [axis % value.ndim for axis in (axes or range(len(starts)))]
    pieces = []
    for axis, start, end, step in zip(axes, starts, ends, steps or [1] * len(axes), strict=True):
        spans = {
            _span(start.at(batch), end.at(batch), step, probe.shape[axis])
            for batch, probe in zip(BATCHES, value.probes, strict=True)
        }
        whole = all(
            _span(start.at(batch), end.at(batch), step, probe.shape[axis])
            == (0, probe.shape[axis], 1)
            for batch, probe in zip(BATCHES, value.probes, strict=True)
        )
        if whole:
            continue
        if len(spans) > 1 or value.sizes[axis].times:
            raise node.refused("picks some images of a batch", "slice from axis 1 on")
        pieces.append((axis, *spans.pop()))
    if pieces:
        builder.call(node, _cut, [value], pieces=tuple(pieces))
    else:
        builder.forward_name(node, value)


def gather(builder: Builder, node: OnnxNode) -> None:
    """Gather at known places."""
    value, axis = builder.value(node, 0), int(node.get("axis", 0))
    if not value.computed and builder.value(node, 1).computed:
        raise node.refused(
            "looks its places up in a table of constants",
            "inputs travel as 8-bit codes: look tokens up before, and give their vectors",
        )
    axis %= max(value.ndim, 1)
    if value.computed and value.ndim == 1 and _of_each_image(builder, node, value):
        return
    places = builder.fixed(node, 1)
    assert places is not None
    if value.computed and value.sizes[axis].times:
        raise node.refused(
            "picks some images of a batch", "a network answers each image of a batch alike"
        )
    size = value.probes[0].shape[axis]
    if places.numel() and not (-size <= int(places.min()) and int(places.max()) < size):
        raise node.refused(f"picks a place outside the {size} that there are")
    places = torch.where(places < 0, places + size, places)
    if places.ndim == 0:
        builder.call(node, torch.select, [value], dim=axis, index=int(places))
    else:
        builder.call(
            node,
            _gather,
            [value],
            axis=axis,
            places=tuple(places.reshape(-1).tolist()),
            sizes=tuple(places.shape),
        )


def _of_each_image(builder: Builder, node: OnnxNode, value: Value) -> bool:
    """Pick the same places of each image from all values of a batch in a row.

    So is written what PyTorch knows as a view by strides.
    """
    places, size = builder.value(node, 1), value.sizes[0]
    if places.computed or size.plus or not places.ndim:
        return False
    batches = BATCHES if builder.batch is None or not places.fixed else (builder.batch,)
    first = places.probes[0][0]
    for batch, probe in zip(batches, places.probes, strict=False):
        begins = (torch.arange(batch) * size.times).reshape(-1, *[1] * first.ndim)
        if probe.shape != (batch, *first.shape) or not torch.equal(probe, first + begins):
            return False
    if int(first.min()) < 0 or int(first.max()) >= size.times:
        return False
    picked = first.reshape(-1)
    flat = builder.before(value, reshaped)
    if flat is not None and torch.equal(picked, torch.arange(size.times)):
        reshape_to(builder, node, flat, [None, *first.shape])
        return True
    settings = {"size": size.times, "places": tuple(picked.tolist()), "sizes": tuple(first.shape)}
    builder.call(node, _gather_each, [value], **settings)
    return True


def pad(builder: Builder, node: OnnxNode) -> None:
    """Pad of height and width, or of any dimension but the batch's."""
    value = builder.value(node, 0)
    pads = builder.numbers(node, 1, "pads") or []
    constant = node.get("value", 0.0)
    if (given := builder.fixed(node, 2)) is not None and given.numel():
        constant = given.reshape(-1)[0].item()
    axes = builder.numbers(node, 3)
    axes = list(range(value.ndim)) if axes is None else [axis % value.ndim for axis in axes]
    if len(pads) != 2 * len(axes):
        raise node.refused(f"has {len(pads)} sizes for {len(axes)} dimensions")
    before, after = [0] * value.ndim, [0] * value.ndim
    for place, axis in enumerate(axes):
        before[axis], after[axis] = pads[place], pads[place + len(axes)]
    if not any((*before, *after)):
        builder.forward_name(node, value)
        return
    if value.computed and (before[0] or after[0]):
        raise node.refused("puts images beside those of a batch")
    mode = node.get("mode", "constant")
    spatial = value.ndim in (3, 4) and not any((*before[:2], *after[:2]))
    if mode == "constant" and spatial and value.computed:
        builder.module(node, pad_module(before[2:], after[2:], constant), value)
        return
    sides = tuple(s for pair in zip(before[::-1], after[::-1], strict=True) for s in pair)
    if mode == "constant":
        builder.call(node, _pad, [value], sides=sides, constant=constant)
    elif mode in _PADS and spatial:
        builder.call(node, _pad_as, [value], sides=sides[: 2 * (value.ndim - 2)], mode=_PADS[mode])
    else:
        raise node.refused(f"pads as {mode} other dimensions than height and width")


def depth_to_space(builder: Builder, node: OnnxNode) -> None:
    """DepthToSpace."""
    value, block = builder.value(node, 0), int(node.get("blocksize"))
    if node.get("mode", "DCR") == "CRD":
        builder.module(node, nn.PixelShuffle(block), value)
    else:
        builder.call(node, _depth_to_space, [value], block=block)


def space_to_depth(builder: Builder, node: OnnxNode) -> None:
    """SpaceToDepth."""
    block = int(node.get("blocksize"))
    builder.call(node, _space_to_depth, [builder.value(node, 0)], block=block)


def _fixed_size(node: OnnxNode, value: Value, axis: int) -> int:
    size = value.sizes[axis]
    if size.times:
        raise node.refused("splits a batch", "split from axis 1 on")
    return size.plus


def _span(start: int, end: int, step: int, size: int) -> tuple[int, int, int]:
    """Return Python's indices of a slice, the end -1 where it goes down to the first place."""
    return slice(start, end, step).indices(size)


def _concat(*values: torch.Tensor, axis: int) -> torch.Tensor:
    return torch.cat(values, axis)


def _concat_for_each(*values: torch.Tensor, axis: int, one: int) -> torch.Tensor:
    batch = values[one].shape[0]
    each = [
        v.expand(batch, *v.shape[1:]) if isinstance(v.shape[0], int) and v.shape[0] == 1 else v
        for v in values
    ]
    return torch.cat(each, axis)


def _split(x: torch.Tensor, *, sizes: tuple[int, ...], axis: int) -> tuple[torch.Tensor, ...]:
    return tuple(torch.split(x, list(sizes), axis))


def _cut(x: torch.Tensor, *, pieces: tuple[tuple[int, int, int, int], ...]) -> torch.Tensor:
    for axis, start, end, step in pieces:
        if step > 0:
            index: list[Any] = [slice(None)] * axis + [slice(start, end, step)]
            x = x[tuple(index)]
        else:
            places = torch.arange(start, end, step, device=x.device)
            x = x.index_select(axis, places)
    return x


def _gather(
    x: torch.Tensor, *, axis: int, places: tuple[int, ...], sizes: tuple[int, ...]
) -> torch.Tensor:
    picked = x.index_select(axis, torch.tensor(places, dtype=torch.int64, device=x.device))
    return picked if len(sizes) == 1 else picked.unflatten(axis, sizes)


def _gather_each(
    x: torch.Tensor, *, size: int, places: tuple[int, ...], sizes: tuple[int, ...]
) -> torch.Tensor:
    rows = x.reshape(-1, size).index_select(1, torch.tensor(places, device=x.device))
    return rows.reshape(-1, *sizes)


def _pad(x: torch.Tensor, *, sides: tuple[int, ...], constant: float) -> torch.Tensor:
    return functional.pad(x, sides, value=constant)


def _pad_as(x: torch.Tensor, *, sides: tuple[int, ...], mode: str) -> torch.Tensor:
    return functional.pad(x, sides, mode=mode)


def _depth_to_space(x: torch.Tensor, *, block: int) -> torch.Tensor:
    _, channels, height, width = x.shape
    apart = x.reshape(-1, block, block, channels // block**2, height, width)
    moved = apart.permute(0, 3, 4, 1, 5, 2)
    return moved.reshape(-1, channels // block**2, height * block, width * block)


def _space_to_depth(x: torch.Tensor, *, block: int) -> torch.Tensor:
    _, channels, height, width = x.shape
    apart = x.reshape(-1, channels, height // block, block, width // block, block)
    moved = apart.permute(0, 3, 5, 1, 2, 4)
    return moved.reshape(-1, channels * block**2, height // block, width // block)
