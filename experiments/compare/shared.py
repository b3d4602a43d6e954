"""What all jobs of a comparison share: one layer table and one set of uniform timings.

They are measured once and kept in the comparison's folder, so that every method, seed and part of a
comparison that was stopped in between searches under the same milliseconds.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from experiments.stages.resource_budget import ALL_8, UniformFigures
from hardware.layers.table import LayerTable

__all__ = ["SharedTimes"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedTimes:
    """Times of one network on one device; they do not depend on its weights."""

    table: LayerTable
    uniform: Mapping[int, UniformFigures]
    """By bits, 8 among them."""

    @property
    def fastest_bits(self) -> int:
        """Bits of the fastest uniform allocation."""
        return min(self.uniform, key=lambda bits: self.uniform[bits].latency_ms)

    def budget_ms(self, share: float) -> float:
        """Return the latency that is `share` of the way from the fastest uniform one to all-8."""
        fastest_ms = self.uniform[self.fastest_bits].latency_ms
        return fastest_ms + share * (self.uniform[ALL_8].latency_ms - fastest_ms)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        uniform = {str(bits): asdict(figures) for bits, figures in self.uniform.items()}
        return {"uniform": uniform, "table": self.table.to_dict()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "SharedTimes":
        """Read a document written by `to_dict`."""
        uniform = {
            int(bits): UniformFigures(**figures) for bits, figures in document["uniform"].items()
        }
        return cls(table=LayerTable.from_dict(document["table"]), uniform=uniform)
