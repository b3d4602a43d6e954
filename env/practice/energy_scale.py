"""Energy scale: how whole programs' energies compare with the layer table's sums."""

from collections.abc import Iterable

import numpy as np

from env.evaluating.evaluation import Evaluation
from hardware.layers.table import LayerTable

__all__ = ["energy_scale"]


def energy_scale(evaluations: Iterable[Evaluation], table: LayerTable) -> float:
    """Return the median of measured over predicted millijoules; 1 where there is no meter."""
    ratios = [
        evaluation.measurement.energy_mj / predicted_mj
        for evaluation in evaluations
        if evaluation.measurement is not None
        and evaluation.measurement.energy_mj is not None
        and (predicted_mj := table.predict_mj(evaluation.allocation))
    ]
    return float(np.median(ratios)) if ratios else 1.0
