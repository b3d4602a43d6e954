"""The float islands of a network: what stays in float, why, and what share of the time it takes."""

from collections.abc import Sequence

from experiments.record.listed_island import ListedIsland
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.capture.float_island import FloatIsland

__all__ = ["list_islands"]


def list_islands(
    islands: Sequence[FloatIsland], table: LayerTable, all_8: Allocation
) -> list[ListedIsland]:
    """Return the islands of a network with their share of the time, in execution order."""
    listed = []
    for island in islands:
        taken_us = table.islands_us.get(island.name)
        share = None if taken_us is None else taken_us / (1000.0 * table.predict_ms(all_8))
        listed.append(
            ListedIsland(
                name=island.name,
                operators=island.operators,
                reason=island.reason,
                us=taken_us,
                share=share,
            )
        )
    return listed
