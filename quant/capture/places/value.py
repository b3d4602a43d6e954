"""Value: a tensor of the user's network, as what moved of a node's image of codes."""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import torch
from torch import fx

from quant.capture.places.layout import Layout, Step, last_layout, taken
from quant.capture.places.moves import BATCH, run
from quant.strides import Strides, strides_of

_aten = torch.ops.aten


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Place:
    """How a tensor of the user's network is made of an image that travels."""

    layout: Layout
    """Of the first tensor that is made of the image."""
    moves: tuple[fx.Node, ...] = ()
    """What moves its values since."""
    known: Any = None
    """The places, where there are moves: see `places`."""

    @property
    def places(self) -> Any:
        """Where each value is, int64, shaped as the user's tensor with `BATCH` images.

        `image * size + place`, channels last. A tuple where the last move makes several tensors.
        """
        return self.known if self.moves else numbered(self.layout)

    def moved(self, node: fx.Node) -> "Place":
        """Return the place behind another operator that moves."""
        return replace(self, moves=(*self.moves, node), known=run(node, self.places))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Value:
    """A tensor of the user's network, and the node whose image it is made of."""

    node: str
    place: Place


def numbered(layout: Layout) -> torch.Tensor:
    """Return where each value of a tensor is that lies in an image as the layout says."""
    shape = layout.shape
    if len(shape) == 1:
        return torch.arange(BATCH * shape[0]).reshape(BATCH, -1)
    channels, height, width = shape
    image = torch.arange(BATCH * prod(shape)).reshape(BATCH, height, width, channels)
    if not layout.last:
        image = image.permute(0, 3, 1, 2)
    return taken(image, layout.unfold())


def folded(places: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return the places of a tensor in the order of the image it would lie in: `[BATCH, size]`."""
    image = taken(places, layout.fold())
    if image.ndim == 4 and not layout.last:
        image = image.permute(0, 2, 3, 1)
    return image.reshape(BATCH, -1)


def within_images(places: torch.Tensor, size: int) -> torch.Tensor | None:
    """Return what each image's values are taken from, int64 `[values]`.

    None where images mix, or are not all treated alike.

    Args:
        places: int64 `[BATCH, values]`.
        size: Values of an image that they are taken from.
    """
    own = places - torch.arange(BATCH)[:, None] * size
    inside = bool(((own >= 0) & (own < size)).all()) and bool((own == own[:1]).all())
    return own[0] if inside else None


def strides_within(place: Place, layout: Layout) -> Strides | None:
    """Return which values of its image a tensor takes, in the order that another layout has."""
    index = within_images(folded(place.places, layout), prod(place.layout.shape))
    return None if index is None else strides_of(index.numpy())


def is_all(place: Place) -> bool:
    """Whether a tensor has each value of its image once."""
    if not place.moves:
        return True
    places = place.places
    count = BATCH * prod(place.layout.shape)
    if not isinstance(places, torch.Tensor) or places.numel() != count:
        return False
    seen = np.zeros(count, np.bool_)
    seen[places.reshape(-1).numpy()] = True
    return bool(seen.all())


def rows_layout(place: Place, sizes: tuple[int, ...]) -> Layout | None:
    """Return the layout with channels last of a tensor, wherever its batch is.

    None where its rows are no rows of single images, or images lie in no even order.

    Args:
        place: Of the tensor.
        sizes: Of the tensor, with -1 where the batch is.
    """
    if sizes[-1] == -1:
        return None
    size = prod(place.layout.shape)
    images = torch.div(place.places.reshape(-1, sizes[-1]), size, rounding_mode="floor")
    if bool((images != images[:, :1]).any()):
        return None
    order = _order_of(images[:, 0])
    if order is None:
        return None
    outer, inner = order
    return last_layout(sizes, rows=outer * inner, outer=outer)


def lead_of(place: Place) -> tuple[int, int] | None:
    """Return how the first axis of a tensor goes through images: `(outer, inner)`.

    It goes `outer` times through all images, and has `inner` places of each image at a time. None
    where a place holds values of several images.
    """
    places = place.places
    images = torch.div(
        places.reshape(len(places), -1), prod(place.layout.shape), rounding_mode="floor"
    )
    if bool((images != images[:, :1]).any()):
        return None
    return _order_of(images[:, 0])


def _order_of(images: torch.Tensor) -> tuple[int, int] | None:
    """Return `(outer, inner)` of places `[n]` that belong to images; see `lead_of`."""
    others = (images != images[0]).nonzero()
    inner = int(others[0]) if len(others) else len(images)
    outer = len(images) // (inner * BATCH)
    expected = torch.arange(BATCH).repeat_interleave(inner).repeat(outer)
    return (outer, inner) if torch.equal(images, expected) else None


def folding(place: Place, sizes: tuple[int, ...]) -> tuple[Step, ...] | None:
    """Return what makes the image, in the user's order of channels, of a tensor at a place.

    Args:
        place: Of the tensor, which has each value of the image once.
        sizes: Of the tensor, with -1 where the batch is.

    Returns:
        None where no rows of it belong to one image.
    """
    if not place.moves:
        return place.layout.fold()
    rows, layout = rows_layout(place, sizes), place.layout
    if rows is None:
        return None
    order = within_images(folded(place.places, rows), prod(layout.shape))
    if order is None:
        return None
    channels, height, width = (*layout.shape, 1, 1)[:3]
    flat = (_aten.reshape.default, ([-1, len(order)],))
    picked = (_aten.index_select.default, (1, order.argsort()))
    image: tuple[Step, ...] = ((_aten.reshape.default, ([-1, height, width, channels],)),)
    if len(layout.shape) == 1:
        image = ()
    elif not layout.last:
        image = (*image, (_aten.permute.default, ([0, 3, 1, 2],)))
    return (*rows.fold(), flat, picked, *image)
