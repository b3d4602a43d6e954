"""What all jobs of a comparison share: one layer table and one set of uniform timings.

They are measured once and kept in the comparison's folder, so that every method, seed and part of a
comparison that was stopped in between searches under the same milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from experiments.stages.resource_budget import UniformFigures, latency_between
from hardware.layers.table import LayerTable


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedTimes:
    """Times of one network on one device; they do not depend on its weights."""

    uniform: Mapping[int, UniformFigures]
    """By bits, 8 among them."""
    table: LayerTable

    def budget_ms(self, share: float) -> float:
        """Return the latency that is `share` of the way from the fastest uniform one to all-8."""
        limit_ms = latency_between(self.uniform, share).budget.latency_ms
        assert limit_ms is not None
        return limit_ms
