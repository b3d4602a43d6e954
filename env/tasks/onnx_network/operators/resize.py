"""Resize and Upsample: PyTorch's own where they are the same, else as ONNX defines them."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from env.tasks.onnx_network.builder import Builder
from env.tasks.onnx_network.node import OnnxNode
from env.tasks.onnx_network.value import Value

_LARGEST = 1 << 14
_LARGEST_SHARES = 1 << 24


def resize(builder: Builder, node: OnnxNode) -> None:
    """Resize of height and width."""
    value = builder.value(node, 0)
    if value.ndim not in (3, 4) or not value.computed:
        raise node.refused(f"is of {max(value.ndim - 2, 0)} dimensions")
    old = [size.at(1) for size in value.sizes[2:]]
    new, scales = _sizes(builder, node, value, old)
    if not all(1 <= size <= _LARGEST for size in new):
        raise node.refused(f"makes an image of {new}")
    mode = node.get("mode", "nearest")
    if mode == "nearest":
        axes = [_nearest(node, *each) for each in zip(old, new, scales, strict=True)]
        plain = [
            [i * size // wanted for i in range(wanted)]
            for size, wanted in zip(old, new, strict=True)
        ]
        if axes == plain:
            builder.call(node, _interpolate, [value], size=tuple(new), mode="nearest")
        else:
            builder.call(node, _pick, [value], axes=tuple(map(tuple, axes)))
    elif mode == "linear":
        _linear(builder, node, value, old, new, scales)
    elif mode == "cubic":
        _cubic(builder, node, value, new, old, scales)
    else:
        raise node.refused(f"is of the mode {mode}")


def _sizes(
    builder: Builder, node: OnnxNode, value: Value, old: list[int]
) -> tuple[list[int], list[float]]:
    """Return the new height and width, and what they are stretched by."""
    place = {"Upsample": 1}.get(node.kind, 2 if node.opset >= 11 else 1)
    scales = node.get("scales") or _floats(builder, node, place)
    axes = node.get("axes")
    if node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.refused("keeps the image's proportions, and stretching alone is taken")
    if scales:
        every = _every(scales, axes, value.ndim, 1.0)
        if every[:2] != [1.0, 1.0] or not all(math.isfinite(s) and s > 0 for s in every):
            raise node.refused(f"is stretched by {every[:4]}, and height and width alone may be")
        kept = every[2:]
        return [math.floor(s * size) for s, size in zip(kept, old, strict=True)], kept
    wanted = [size.plus for size in builder.shape(node, 3)]
    given = _every(wanted, axes, value.ndim, -1)
    new = [size if size > 0 else o for size, o in zip(given[2:], old, strict=True)]
    channels = value.sizes[1].at(1)
    if given[1] not in (-1, channels):
        raise node.refused("makes other channels than there are")
    return new, [size / o for size, o in zip(new, old, strict=True)]


def _every(given: Sequence[Any], axes: Sequence[int] | None, ndim: int, default: Any) -> list[Any]:
    every = [default] * ndim
    for axis, number in zip(axes if axes is not None else range(ndim), given, strict=True):
        every[axis % ndim] = number
    return every


def _floats(builder: Builder, node: OnnxNode, place: int) -> list[float]:
    found = builder.fixed(node, place)
    return [] if found is None else [float(number) for number in found.reshape(-1)]


def _nearest(node: OnnxNode, old: int, new: int, scale: float) -> list[int]:
    """Return which place of the old image each of the new one takes."""
    rounding = node.get("nearest_mode", "round_prefer_floor" if node.opset >= 11 else "floor")
    if node.kind == "Upsample":
        rounding = "floor"
    round_to = {
        "floor": math.floor,
        "ceil": math.ceil,
        "round_prefer_floor": lambda x: math.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: math.floor(x + 0.5),
    }[rounding]
    return [min(max(round_to(x), 0), old - 1) for x in _places(node, old, new, scale)]


def _places(node: OnnxNode, old: int, new: int, scale: float) -> list[float]:
    """Return where in the old image each place of the new one lies."""
    default = "half_pixel" if node.opset >= 11 and node.kind == "Resize" else "asymmetric"
    mode = node.get("coordinate_transformation_mode", default)
    if mode == "asymmetric":
        return [i / scale for i in range(new)]
    if mode == "align_corners":
        return [i * (old - 1) / (new - 1) if new > 1 else 0.0 for i in range(new)]
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and new > 1):
        return [(i + 0.5) / scale - 0.5 for i in range(new)]
    if mode == "pytorch_half_pixel":
        return [0.0]
    if mode == "half_pixel_symmetric":
        centre = old / 2 * (1 - new / (scale * old))
        return [centre + (i + 0.5) / scale - 0.5 for i in range(new)]
    raise node.refused(f"has its places by {mode}")


def _linear(
    builder: Builder,
    node: OnnxNode,
    value: Value,
    old: list[int],
    new: list[int],
    scales: list[float],
) -> None:
    """Mix two neighbours along each side: PyTorch's own, or a product with the shares of each."""
    if node.get("antialias", 0):
        raise node.refused("is antialiased", "leave antialias off")
    if max(o * n for o, n in zip(old, new, strict=True)) > _LARGEST_SHARES:
        raise node.refused(f"makes an image of {new} of one of {old}")
    places = [_places(node, *each) for each in zip(old, new, scales, strict=True)]
    for aligned in (False, True):
        if places == [_torch_places(aligned, *each) for each in zip(old, new, strict=True)]:
            mode = "linear" if value.ndim == 3 else "bilinear"
            builder.call(
                node, _interpolate, [value], size=tuple(new), mode=mode, align_corners=aligned
            )
            return
    shares = [_shares(row, size) for row, size in zip(places, old, strict=True)]
    kept = [Value(reference="", probes=(share,) * 3, computed=False) for share in shares]
    builder.call(node, _mix, [value, *kept])


def _cubic(
    builder: Builder,
    node: OnnxNode,
    value: Value,
    new: list[int],
    old: list[int],
    scales: list[float],
) -> None:
    mode = node.get("coordinate_transformation_mode", "half_pixel")
    plain = node.get("cubic_coeff_a", -0.75) == -0.75 and not node.get("exclude_outside", 0)
    whole = all(s * o == n for s, o, n in zip(scales, old, new, strict=True))
    known = mode == "align_corners" or (mode in ("half_pixel", "pytorch_half_pixel") and whole)
    if not plain or not known or value.ndim != 4 or node.get("antialias", 0):
        raise node.refused("is cubic in another way than PyTorch's", "take mode='linear'")
    builder.call(
        node,
        _interpolate,
        [value],
        size=tuple(new),
        mode="bicubic",
        align_corners=mode == "align_corners",
    )


def _torch_places(aligned: bool, old: int, new: int) -> list[float]:
    if aligned:
        return [i * (old - 1) / (new - 1) if new > 1 else 0.0 for i in range(new)]
    return [(i + 0.5) / (new / old) - 0.5 for i in range(new)]


def _shares(places: list[float], old: int) -> torch.Tensor:
    """Return what each place of the new side takes of each of the old one, `[new, old]`."""
    shares = torch.zeros(len(places), old)
    for row, place in enumerate(places):
        place = min(max(place, 0.0), old - 1.0)
        below = math.floor(place)
        shares[row, below] += 1 - (place - below)
        if below + 1 < old:
            shares[row, below + 1] += place - below
    return shares


def _interpolate(x: torch.Tensor, **settings: Any) -> torch.Tensor:
    return functional.interpolate(x, **settings)


def _pick(x: torch.Tensor, *, axes: tuple[tuple[int, ...], ...]) -> torch.Tensor:
    for axis, places in enumerate(axes):
        x = x.index_select(axis + 2, torch.tensor(places, device=x.device))
    return x


def _mix(x: torch.Tensor, *shares: torch.Tensor) -> torch.Tensor:
    for axis, share in enumerate(shares):
        x = (x.movedim(axis + 2, -1) @ share.T).movedim(-1, axis + 2)
    return x
