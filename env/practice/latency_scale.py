"""Latency scale: how whole programs' measured times compare with the layer table's sums."""

from collections.abc import Iterable

import numpy as np

from env.evaluating.evaluation import Evaluation
from hardware.layers.table import LayerTable

__all__ = ["latency_scale"]


def latency_scale(evaluations: Iterable[Evaluation], table: LayerTable) -> float:
    """Return the median of measured over predicted milliseconds; 1 before anything is measured.

    The median, because one evaluation beside a busy neighbour must not move the budget.
    """
    ratios = [
        evaluation.measurement.median_ms / table.predict_ms(evaluation.allocation)
        for evaluation in evaluations
        if evaluation.measurement is not None
    ]
    return float(np.median(ratios)) if ratios else 1.0
