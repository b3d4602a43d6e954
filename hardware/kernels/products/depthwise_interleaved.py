"""Depthwise sums of interleaved rows: an instruction adds the products of several kernel rows.

Codes of one channel in 2 or 4 neighbouring kernel rows stand side by side in an operand, and so do
their weights:

    for column in the tile's input columns:
        for group of `rows` kernel rows:              # 3 rows in twos: (0, 1), (2, zeros)
            interleave the codes once                 # `operands`
            for pixel, tap in tile.users(column): sums[pixel] += operands * weights[tap, group]
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hardware.kernels.emitting.emit import load, local_vector, store
from hardware.kernels.products.depthwise import DepthwiseFamily, DepthwiseTile


@dataclass(frozen=True, kw_only=True, slots=True)
class InterleavedDepthwise(DepthwiseFamily):
    """Everything about interleaved rows but the instructions that interleave and multiply."""

    rows: int
    """Kernel rows of one operand."""
    weight_dtype: Literal["int8", "int16"]
    sum_dtype: Literal["int16", "int32"]
    sum_lanes: int
    """Channels of one vector of sums."""

    @abstractmethod
    def operands(self, tile: DepthwiseTile, group: int, column: int) -> list[Any]:
        """Return the registers of one column's codes in a group of rows."""

    @abstractmethod
    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return the sums after one operand.

        Args:
            total: The sums before it; None for zeros.
            code: One of `operands`.
            weight: As many weights.
        """

    def channel_order(self) -> npt.NDArray[np.intp]:
        """Return `[operands, sum_lanes]`: the channels of each operand."""
        return np.arange(self.lanes).reshape(-1, self.sum_lanes)

    def finish(self, totals: list[Any]) -> list[Any]:
        """Return a pixel's sums, in the order of operands, as int32 with the channels in order."""
        return totals

    def emit_sums(self, tile: DepthwiseTile) -> list[list[Any]]:
        """Emit all taps: each column of codes is interleaved once and used for every pixel."""
        g, vectors = tile.geometry, self.lanes // self.sum_lanes
        sums = [
            [local_vector(self.sum_dtype, self.sum_lanes) for _ in range(vectors)]
            for _ in range(tile.columns)
        ]
        fresh = [True] * tile.columns
        groups, weight_lanes = -(-g.kernel[0] // self.rows), self.rows * self.sum_lanes
        for column in range(tile.input_columns):
            users = tile.users(column)
            for group in range(groups) if users else ():
                operands = self.operands(tile, group, column)
                for pixel, tap in users:
                    first = ((tile.block * g.kernel[1] + tap) * groups + group) * vectors
                    for index, (total, code) in enumerate(zip(sums[pixel], operands, strict=True)):
                        weight = load(tile.weights, (first + index) * weight_lanes, weight_lanes)
                        before = None if fresh[pixel] else load(total, 0, self.sum_lanes)
                        after = self.multiply_add(before, code, weight)
                        store(total, 0, after, self.sum_lanes)
                    fresh[pixel] = False
        return [self.finish([load(one, 0, self.sum_lanes) for one in totals]) for totals in sums]

    def pack(self, weight: npt.NDArray[np.int8], starts: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Return `[blocks, kernel_w, groups of rows, operands, channels * rows]`."""
        channels, rows, columns = weight.shape
        groups = -(-rows // self.rows)
        filled = np.zeros((channels, self.rows * groups, columns), self.weight_dtype)
        filled[:, :rows] = weight
        order = self.channel_order()
        blocks = filled[starts[:, None] + order.reshape(-1)]
        split = blocks.reshape(len(starts), *order.shape, groups, self.rows, columns)
        packed = np.ascontiguousarray(split.transpose(0, 5, 3, 1, 2, 4))
        return packed.reshape(len(starts), columns, groups, len(order), -1)
