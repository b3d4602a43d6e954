"""What a network computes of its parameters alone: positions, a class token for each image."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import fx
from torch.fx.node import map_arg

from quant.capture.places.moves import BATCH, is_size, number
from quant.capture.places.value import Place


@torch.no_grad()
def constant_value(
    node: fx.Node, operators: Sequence[fx.Node], state: Mapping[str, torch.Tensor]
) -> torch.Tensor | None:
    """Return a tensor that does not depend on the network's input, for `BATCH` images.

    Args:
        node: Makes it, or is a parameter.
        operators: What it is computed by, in execution order; empty for a parameter.
        state: Parameters, buffers and constants by the names of their placeholders.

    Returns:
        None where it is no tensor of float32.
    """
    made: dict[fx.Node, Any] = {}

    def argument(source: fx.Node) -> Any:
        if source in made:
            return made[source]
        return number(source, BATCH) if is_size(source) else state[source.name]

    for each in operators:
        made[each] = each.target(  # type: ignore[operator]
            *map_arg(each.args, argument), **map_arg(each.kwargs, argument)
        )
    value = argument(node)
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
        return None
    return value.detach()


def placed(value: torch.Tensor, place: Place) -> torch.Tensor | None:
    """Return a constant as the image that a place says, float32 `[1, C, H, W]` or `[1, F]`.

    Args:
        value: For `BATCH` images, or of sizes that broadcast to theirs.
        place: Of the tensor that it is added or joined to.

    Returns:
        None where it does not broadcast, or differs from image to image.
    """
    places, shape = place.places, place.layout.shape
    try:
        whole = value.expand(places.shape)
    except RuntimeError:
        return None
    images = torch.empty(BATCH * prod(shape))
    images[places.reshape(-1)] = whole.reshape(-1)
    images = images.reshape(BATCH, -1)
    if not torch.equal(images, images[:1].expand_as(images)):
        return None
    if len(shape) == 1:
        return images[:1].clone()
    channels, height, width = shape
    return images[:1].reshape(1, height, width, channels).permute(0, 3, 1, 2).contiguous()
