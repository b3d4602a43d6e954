"""Where the matrices of a product lie in the images of codes that travel."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import fx

from quant.capture.exported import where
from quant.capture.places.layout import Layout
from quant.capture.places.value import Place, Value, rows_layout, strides_within
from quant.capture.places.values import Values, sizes_of
from quant.deploy_graph import Matrices
from quant.errors import CaptureError


@dataclass(frozen=True, kw_only=True, slots=True)
class Operands:
    """The nodes that a product reads, and how it lies itself."""

    inputs: tuple[str, str]
    matrices: Matrices
    layout: Layout
    """Of the product."""


def operands_of(values: Values, node: fx.Node) -> Operands:
    """Return what a product of two computed tensors `[..., rows, depth]` reads.

    Raises:
        CaptureError: one of them does not travel, or not image by image; or they are of different
            groups of matrices.
    """
    left, right = node.args[:2]
    sizes, others = sizes_of(left), sizes_of(right)
    if len(sizes) < 3 or sizes[:-2] != others[:-2] or -1 in (*sizes[-2:], *others[-2:]):
        raise CaptureError(
            f"a product of {list(sizes)} and {list(others)} is not one of matrices in equal "
            f"groups: {where(node)}"
        )
    first, layout = values.rows(node, left)
    if layout.outer != 1:
        raise CaptureError(f"matrices of which each image has every second one: {where(node)}")
    second, turned = _right(values, node, right, others)
    rows, depth, columns = sizes[-2], sizes[-1], others[-1]
    matrices = Matrices(
        groups=layout.rows // rows, rows=rows, depth=depth, columns=columns, turned=turned
    )
    return Operands(inputs=(first, second), matrices=matrices, layout=layout.with_channels(columns))


def _right(
    values: Values, node: fx.Node, argument: Any, sizes: tuple[int, ...]
) -> tuple[str, bool]:
    """Return the node of the right matrices, and whether they lie turned around there.

    Either will do: the one is taken for which nothing moves, or else whole rows do.
    """
    value = values.of(node, argument)
    found = sorted(_ways(value, node, sizes), key=lambda way: way[0])
    if not found:
        raise CaptureError(f"matrices that lie in no order of images: {where(node)}")
    _, turned, value, layout = found[0]
    return values.brought(node, value, layout), turned


def _ways(
    value: Value, node: fx.Node, sizes: tuple[int, ...]
) -> Iterator[tuple[int, bool, Value, Layout]]:
    """Yield (cost, whether turned, the value so, its layout) for each way to read matrices."""
    place = value.place
    other = Place(
        layout=place.layout, moves=(*place.moves, node), known=place.places.transpose(-2, -1)
    )
    swapped = (*sizes[:-2], sizes[-1], sizes[-2])
    for turned, one, shape in ((True, other, swapped), (False, place, sizes)):
        layout = rows_layout(one, shape)
        if layout is None or layout.outer != 1:
            continue
        strides = strides_within(one, layout)
        if strides is None:
            continue
        whole = strides.is_whole and strides.count == prod(place.layout.shape)
        cost = 0 if whole else 1 if strides.steps[-1:] == (1,) else 2
        yield cost, turned, Value(node=value.node, place=one), layout
