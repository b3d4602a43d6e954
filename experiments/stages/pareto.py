"""Pareto front of a run: what was evaluated and is beaten by nothing, as CSV."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from env.decisions.fronts import pareto_mask
from env.evaluating.evaluation import Evaluation
from hardware.energy.energy import NO_METER
from quant.objective.paired import PAIRED_COLUMNS, paired_cells

_COLUMNS = (
    *("index", "proposer", "metric", "score", "score_se", "latency_ms", "model_bytes", "bits"),
    *("energy_mj", "energy_net_mj", "idle_w", "energy_source"),
    "latency_source",
    *PAIRED_COLUMNS,
)


def pareto_csv(evaluations: Sequence[Evaluation]) -> str:
    """Return the front of the score against measured latency, and energy if known, fastest first.

    `bits` lists `weights/activations` of each layer in order.
    """
    timed = [item for item in evaluations if item.latency_ms is not None]
    # One column of zeros where there is no meter: it decides nothing.
    metered = any(item.energy_mj is not None for item in timed)
    points = np.array(
        [[item.latency_ms, -item.quality, _energy(item) if metered else 0.0] for item in timed],
        dtype=np.float64,
    ).reshape(-1, 3)
    kept = [item for item, stays in zip(timed, pareto_mask(points), strict=True) if stays]
    kept.sort(key=lambda item: (item.latency_ms or 0.0, -item.quality))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for item in kept:
        bits = " ".join(str(bits) for _, bits in item.allocation.items)
        writer.writerow(
            [
                item.index,
                item.proposer,
                item.metric.name,
                item.score,
                item.score_se,
                item.latency_ms,
                item.model_bytes,
                bits,
                *_energy_cells(item),
                "" if item.measurement is None else item.measurement.source,
                *paired_cells(item.beside_reference).values(),
            ]
        )
    return buffer.getvalue()


def _energy(item: Evaluation) -> float:
    return math.inf if item.energy_mj is None else item.energy_mj


def _energy_cells(item: Evaluation) -> list[Any]:
    energy = None if item.measurement is None else item.measurement.energy
    if energy is None:
        return [None, None, None, NO_METER]
    return [energy.gross_mj, energy.net_mj, energy.idle_w, energy.source]
