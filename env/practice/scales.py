"""Scales: how whole programs compare with the layer table's sums."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from env.decisions.budget import Budget
from env.errors import ActionError
from env.evaluating.evaluation import Evaluation
from hardware.layers.table import LayerTable


@dataclass(frozen=True, kw_only=True, slots=True)
class Scales:
    """Measured over predicted values; 1 is what the layer table says."""

    latency: float = 1.0
    energy: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what nothing can be divided by."""
        for name in ("latency", "energy"):
            scale = getattr(self, name)
            if not (math.isfinite(scale) and scale > 0):
                raise ActionError(f"expected a finite {name} scale above 0, found {scale}")

    def correct(self, budget: Budget) -> Budget:
        """Return the limits that the table's sums must keep for programs to keep the budget."""
        return Scales(latency=1.0 / self.latency, energy=1.0 / self.energy).scale(budget)

    def scale(self, budget: Budget) -> Budget:
        """Return what programs take whose sums are a budget's limits."""
        latency_ms, energy_mj = budget.latency_ms, budget.energy_mj
        return replace(
            budget,
            latency_ms=None if latency_ms is None else latency_ms * self.latency,
            energy_mj=None if energy_mj is None else energy_mj * self.energy,
        )


def measured_over_predicted(evaluations: Iterable[Evaluation], table: LayerTable) -> Scales:
    """Return the medians over what was measured; 1 where nothing was, or where there is no meter.

    Medians, because one evaluation beside a busy neighbour must not move the budget.
    """
    measured = [(e, e.allocation) for e in evaluations if e.measurement is not None]
    return Scales(
        latency=_median((e.latency_ms, table.predict_ms(allocation)) for e, allocation in measured),
        energy=_median((e.energy_mj, table.predict_mj(allocation)) for e, allocation in measured),
    )


def _median(pairs: Iterable[tuple[float | None, float | None]]) -> float:
    ratios = [found / predicted for found, predicted in pairs if found is not None and predicted]
    return float(np.median(ratios)) if ratios else 1.0
