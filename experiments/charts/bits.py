"""Bits chart: the bits of each layer of one allocation, for TensorBoard; the page has a table."""

import numpy as np
import numpy.typing as npt

from experiments.charts.chart import Axis, Chart, Mark, Series
from quant.allocation import Allocation
from quant.layers import MAX_BITS, MIN_BITS

_ROW = 26.0
"""Height of a layer, in points."""


def bits_matrix(allocation: Allocation) -> npt.NDArray[np.int64]:
    """Return the bits as int64 `[2, layers]`: weights, then activations; 9 stands for float."""
    bits: npt.NDArray[np.int64] = np.array(
        [
            [bits.weight_bits for _, bits in allocation.items],
            [bits.activation_bits for _, bits in allocation.items],
        ],
        dtype=np.int64,
    )
    return np.minimum(bits, MAX_BITS + 1)


def bits_chart(allocation: Allocation, title: str) -> Chart:
    """Chart the bits as two marks for each layer, the first layer on top."""
    names = tuple(name for name, _ in allocation.items)
    matrix = bits_matrix(allocation)
    ticks = tuple(range(MIN_BITS, max(MAX_BITS, int(matrix.max())) + 1))
    rows = zip(
        (("weights", "blue", "s", 0.18), ("activations", "orange", "o", -0.18)),
        matrix,
        strict=True,
    )
    return Chart(
        title=title,
        x=Axis(
            label="bits",
            ticks=ticks,
            names=tuple("float" if bits > MAX_BITS else str(bits) for bits in ticks),
        ),
        y=Axis(label="", ticks=tuple(-place for place in range(len(names))), names=names),
        series=tuple(
            Series(
                marks=tuple(Mark(x=float(bits), y=shift - place) for place, bits in enumerate(row)),
                colour=colour,
                name=name,
                marker=marker,
            )
            for (name, colour, marker, shift), row in rows
        ),
        height=110.0 + _ROW * len(names),
    )
