"""Layout: how a tensor of the user's network lies in an image of codes.

An image `(C, H, W)` of a program has its channels last: all values of one place, then those of the
next. A convolution's output `[N, C, H, W]` is such an image, and so is the output of a Linear
`[N, T, F]`: T places of F channels. Tokens before the batch, `[T, N, F]`, are the same image, only
that PyTorch has the batch in another place:

    sizes (-1, 8, 4, 4)     `[N, 8, 4, 4]`    channels first    image (8, 4, 4)
    sizes (-1, 16, 8)       `[N, 16, 8]`      channels last     image (8, 1, 16)
    sizes (16, -1, 8)       `[16, N, 8]`      channels last     image (8, 1, 16), 16 rows before N
    sizes (-1, 8)           `[16 * N, 8]`     channels last     the same
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch

_aten = torch.ops.aten

Step = tuple[Any, tuple[Any, ...]]
"""An operator of PyTorch's, and its arguments after the tensor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A tensor of the user's network as an image of codes."""

    sizes: tuple[int, ...]
    """Of the user's tensor; -1 where the batch is, alone or with tokens in one axis."""
    last: bool
    """Whether the user's tensor has its channels last."""
    rows: int = 1
    """Places of the image, where channels are last."""
    outer: int = 1
    """How many of them come before the batch."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The image, `(C, H, W)`, or `(F,)` for a vector."""
        if not self.last:
            inside = self.sizes[1:]
            return (inside[0], 1, inside[1]) if len(inside) == 2 else inside
        by_places = len(self.sizes) == 4 and self.outer == 1 and self.sizes[0] == -1
        if by_places and self.sizes[1] * self.sizes[2] == self.rows:
            return (self.sizes[3], self.sizes[1], self.sizes[2])
        return (self.sizes[-1], 1, self.rows)

    @property
    def is_plain(self) -> bool:
        """Whether the user's tensor has the batch first and nothing else in that axis."""
        return self.sizes[0] == -1 and (not self.last or self.rows == prod(self.sizes[1:-1]))

    def axis_of(self, dim: int) -> int | None:
        """Return which axis of the image one of the user's tensor's is; None for several."""
        if not self.last:
            axes: tuple[int | None, ...] = (None, 0, 2) if len(self.sizes) == 3 else (None, 0, 1, 2)
        elif self.sizes[0] != -1:
            axes = (*[None] * (len(self.sizes) - 1), 0)
        else:
            by_rank = {3: (None, 2, 0), 4: (None, 1, 2, 0)}
            axes = by_rank.get(len(self.sizes), (*[None] * (len(self.sizes) - 1), 0))
        return axes[dim]

    def resized(self, sizes: tuple[int, ...]) -> "Layout":
        """Return the same of a tensor of other sizes, the batch in the same axis of its own."""
        if not self.last:
            return replace(self, sizes=sizes)
        axis = sizes.index(-1)
        return replace(self, sizes=sizes, rows=-prod(sizes[:-1]), outer=prod(sizes[:axis]))

    def with_channels(self, channels: int) -> "Layout":
        """Return the same with another number of channels, which are last."""
        return replace(self, sizes=(*self.sizes[:-1], channels))

    def unfold(self) -> tuple[Step, ...]:
        """Return what makes the user's tensor of an image.

        The image has its channels last, `[N, H, W, C]`, where the user's tensor has; else first.
        """
        if not self.last:
            return ((_aten.squeeze.dim, (2,)),) if len(self.sizes) == 3 else ()
        sizes, channels = list(self.sizes), self.sizes[-1]
        if self.outer == 1:
            return ((_aten.reshape.default, (sizes,)),)
        split = [-1, self.outer, self.rows // self.outer, channels]
        return (
            (_aten.reshape.default, (split,)),
            (_aten.transpose.int, (0, 1)),
            (_aten.reshape.default, (sizes,)),
        )

    def fold(self) -> tuple[Step, ...]:
        """Return what makes the image of the user's tensor; see `unfold`."""
        if not self.last:
            return ((_aten.unsqueeze.default, (2,)),) if len(self.sizes) == 3 else ()
        channels, height, width = self.shape
        image = (_aten.reshape.default, ([-1, height, width, channels],))
        if self.outer == 1:
            return (image,)
        split = [self.outer, -1, self.rows // self.outer, channels]
        return ((_aten.reshape.default, (split,)), (_aten.transpose.int, (0, 1)), image)


def first_layout(sizes: tuple[int, ...]) -> Layout:
    """Return the layout of an image `[N, C, H, W]`, a sequence `[N, C, L]` or a vector `[N, F]`."""
    return Layout(sizes=sizes, last=False)


def last_layout(sizes: tuple[int, ...], *, rows: int, outer: int) -> Layout:
    """Return the layout of a tensor whose last axis holds channels; of a vector, as it is."""
    if len(sizes) == 2 and rows == 1:
        return first_layout(sizes)
    return Layout(sizes=sizes, last=True, rows=rows, outer=outer)


def token_layout(sizes: tuple[int, ...]) -> Layout:
    """Return the layout with channels last of a tensor where the batch has an axis of its own."""
    axis = sizes.index(-1)
    return last_layout(sizes, rows=-prod(sizes[:-1]), outer=prod(sizes[:axis]))


def taken(value: torch.Tensor, steps: tuple[Step, ...]) -> torch.Tensor:
    """Return what steps make of a tensor."""
    for operator, arguments in steps:
        value = operator(value, *arguments)
    return value
