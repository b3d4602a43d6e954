"""The float islands of a network: what stays in float, why, and what share of the time it takes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.records.json_form import EXACT

if TYPE_CHECKING:  # it brings torch, which the report has no use for
    from quant.capture.float_island import FloatIsland


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedIsland:
    """One float island for people."""

    name: str
    operators: tuple[str, ...]
    reason: str
    """Why it stays in float, and where in the network it is."""
    us: float | None
    """Microseconds of one execution; None where nothing was measured."""
    share: float | None
    """Of what the layer table says of all-8-bit, 0..1."""

    __pydantic_config__ = EXACT

    def __str__(self) -> str:
        """Return one line."""
        share = "" if self.share is None else f", {self.percent} of the time at 8 bits"
        return f"float island {self.name} ({self.contents}){share}: {self.reason}"

    @property
    def contents(self) -> str:
        """The operators for people, each once: `linear x 4`."""
        counts = Counter(self.operators)
        return ", ".join(name if n == 1 else f"{name} x {n}" for name, n in counts.items())

    @property
    def percent(self) -> str:
        """The share for people."""
        return "-" if self.share is None else f"{100 * self.share:.1f} %"


def list_islands(
    islands: "Sequence[FloatIsland]", table: LayerTable, all_8: Allocation
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
