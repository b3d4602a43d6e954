"""Values: the tensors of the user's network, and the nodes that bring them where they are read."""

from math import prod
from typing import Any

import torch
from torch import fx

from quant.capture.exported import where
from quant.capture.graph import Node
from quant.capture.places.layout import Layout, first_layout, token_layout
from quant.capture.places.moves import BATCH, at_batch
from quant.capture.places.value import (
    Place,
    Value,
    is_all,
    rows_layout,
    strides_within,
    within_images,
)
from quant.errors import CaptureError
from quant.strides import Strides, strides_of


class Values:
    """Knows of each exported node what it is made of; adds moves of codes to the nodes.

    A move is nothing until somebody reads what it made in another order than it lies in.

    Args:
        nodes: By name, in execution order; moves are added to them.
    """

    def __init__(self, nodes: dict[str, Node]) -> None:
        self._nodes = nodes
        self._known: dict[str, Value] = {}

    def get(self, node: fx.Node) -> Value | None:
        """Return what an exported node's tensor is made of, None where it does not travel."""
        value = self._known.get(node.name)
        return value if value is not None and value.node in self._nodes else None

    def known(self, name: str) -> Value | None:
        """Return what an exported node's tensor was made of, even if that no longer travels."""
        return self._known.get(name)

    def set(self, node: fx.Node, value: Value) -> None:
        """Remember what an exported node's tensor is made of."""
        self._known[node.name] = value

    def of(self, node: fx.Node, argument: Any) -> Value:
        """Return what an argument of an exported node is made of.

        Raises:
            CaptureError: it is no tensor that travels as codes.
        """
        if not isinstance(argument, fx.Node):
            raise CaptureError(f"{where(node)}: expected a tensor, found the constant {argument!r}")
        value = self.get(argument)
        if value is None:
            raise CaptureError(f"{where(node)}: {argument.name} is no tensor that travels as codes")
        return value

    def move(self, node: fx.Node) -> None:
        """Take an operator that only moves values: nothing is done until they are read.

        Raises:
            CaptureError: what it reads does not travel.
        """
        source = self.of(node, node.args[0])
        try:
            place = source.place.moved(node)
        except RuntimeError as error:
            raise CaptureError(
                f"{where(node)}: {next(iter(str(error).splitlines()), '')}"
            ) from None
        self._known[node.name] = Value(node=source.node, place=place)

    def image(self, node: fx.Node, argument: Any) -> str:
        """Return the node of an argument as an image, sequence or vector, channels first."""
        value = self.of(node, argument)
        sizes = sizes_of(argument)
        if sizes[0] != -1 or len(sizes) > 4:
            raise CaptureError(f"{where(node)}: expected [N, C, H, W], [N, C, L] or [N, F]")
        return self.brought(node, value, first_layout(sizes))

    def rows(self, node: fx.Node, argument: Any) -> tuple[str, Layout]:
        """Return the node of an argument whose last axis holds channels, and how it lies there.

        Raises:
            CaptureError: a row holds values of several images.
        """
        value = self.of(node, argument)
        layout = rows_layout(value.place, sizes_of(argument))
        if layout is None:
            raise CaptureError(f"rows of more than one image: {where(node)}")
        return self.brought(node, value, layout), layout

    def whole(self, node: fx.Node, argument: Any) -> Value:
        """Return an argument as all values of a node, in whatever order they lie there."""
        value = self.of(node, argument)
        if not value.place.moves:
            return value
        layout = rows_layout(value.place, sizes_of(argument))
        if layout is None:
            layout = own_layout(argument, last=False)
        strides = strides_within(value.place, layout)
        if is_all(value.place) and (strides is None or not strides.is_whole):
            return value
        return Value(node=self.brought(node, value, layout), place=Place(layout=layout))

    def natural(self, value: Value, node: fx.Node) -> Layout:
        """Return the layout of an exported node's tensor as if it were made anew.

        Args:
            value: What it is made of.
            node: The exported node.

        Raises:
            CaptureError: the batch has no axis of its own.
        """
        return own_layout(node, last=self.has_channels_last(node) or value.place.layout.last)

    def has_channels_last(self, argument: Any) -> bool:
        """Whether an argument's last axis holds what an image's channels are."""
        value = self.get(argument)
        if value is None or len(argument.meta["val"].shape) < 3:
            return False
        if not value.place.moves:
            return value.place.layout.last
        layout = rows_layout(value.place, sizes_of(argument))
        if layout is None or layout.shape[0] != value.place.layout.shape[0]:
            return False
        strides = strides_within(value.place, layout)
        return strides is not None and strides.is_whole

    def at(self, node: fx.Node, argument: Any, place: Place) -> str:
        """Return a node whose values lie where those of another tensor of the same sizes do."""
        value = self.of(node, argument)
        if value.place.layout == place.layout and value.place.moves == place.moves:
            return value.node
        places = torch.empty(BATCH * prod(place.layout.shape), dtype=torch.int64)
        places[place.places.reshape(-1)] = value.place.places.reshape(-1)
        size = prod(value.place.layout.shape)
        index = within_images(places.reshape(BATCH, -1), size)
        strides = None if index is None else strides_of(index.numpy())
        return self._moved(node, value.node, place.layout, strides)

    def brought(self, node: fx.Node, value: Value, layout: Layout) -> str:
        """Return a node whose image is a tensor in a layout.

        Raises:
            CaptureError: no loops count through its values.
        """
        if not value.place.moves and value.place.layout == layout:
            return value.node
        return self._moved(node, value.node, layout, strides_within(value.place, layout))

    def _moved(self, node: fx.Node, source: str, layout: Layout, strides: Strides | None) -> str:
        if strides is None:
            raise CaptureError(f"values in an order that no nested loops have: {where(node)}")
        read = self._nodes[source]
        if strides.is_whole and strides.count == prod(read.shape) and read.shape == layout.shape:
            return source
        for known in self._nodes.values():
            same = known.kind == "move" and known.inputs == (source,) and known.moved == strides
            if same and known.shape == layout.shape:
                return known.name
        name = f"{source}_moved{sum(one.inputs == (source,) for one in self._nodes.values())}"
        self._nodes[name] = Node(
            name=name,
            kind="move",
            inputs=(source,),
            shape=layout.shape,
            moved=strides,
            last=layout.last,
        )
        return name


def sizes_of(node: Any) -> tuple[int, ...]:
    """Return the sizes of an exported node's tensor, with -1 where the batch is.

    Raises:
        CaptureError: no size depends on the batch, or several do.
    """
    sizes = node.meta["val"].shape
    found = tuple(int(size) if str(size).isdecimal() else -1 for size in sizes)
    if found.count(-1) != 1 or at_batch(sizes[found.index(-1)], BATCH) % BATCH:
        raise CaptureError(f"{where(node)}: the batch is no size of {list(sizes)}")
    return found


def own_layout(node: fx.Node, *, last: bool) -> Layout:
    """Return the layout of a tensor whose batch has an axis of its own.

    Args:
        node: The exported node that makes it.
        last: Whether three or four sizes mean that channels are last.

    Raises:
        CaptureError: it has none, or is nothing but a batch.
    """
    sizes = sizes_of(node)
    axis = sizes.index(-1)
    if at_batch(node.meta["val"].shape[axis], BATCH) != BATCH or axis == len(sizes) - 1:
        raise CaptureError(f"{where(node)}: the batch has no axis of its own before the channels")
    if axis or len(sizes) > 4 or (last and len(sizes) > 2):
        return token_layout(sizes)
    return first_layout(sizes)
