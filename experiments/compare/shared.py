"""What all jobs of a comparison share: one layer table and one set of uniform timings.

They are measured once and kept in the comparison's folder, so that every method, seed and part of a
comparison that was stopped in between searches under the same milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from experiments.stages.resource_budget import ALL_8, UniformFigures
from hardware.layers.table import LayerTable


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedTimes:
    """Times of one network on one device; they do not depend on its weights."""

    uniform: Mapping[int, UniformFigures]
    """By bits, 8 among them."""
    table: LayerTable

    @property
    def fastest_bits(self) -> int:
        """Bits of the fastest uniform allocation."""
        return min(self.uniform, key=lambda bits: self.uniform[bits].latency_ms)

    def budget_ms(self, share: float) -> float:
        """Return the latency that is `share` of the way from the fastest uniform one to all-8."""
        fastest_ms = self.uniform[self.fastest_bits].latency_ms
        return fastest_ms + share * (self.uniform[ALL_8].latency_ms - fastest_ms)
