"""Pareto front of a run: what was evaluated and is beaten by nothing, as CSV."""

import csv
import io
from collections.abc import Sequence

from env.evaluation import Evaluation
from experiments.figures import front_points

__all__ = ["pareto_csv"]

_COLUMNS = ("index", "proposer", "accuracy", "accuracy_se", "latency_ms", "model_bytes", "bits")


def pareto_csv(evaluations: Sequence[Evaluation]) -> str:
    """Return the front of accuracy against measured latency, fastest first.

    `bits` lists `weights/activations` of each layer in order.
    """
    timed = [item for item in evaluations if item.latency_ms is not None]
    _, front = front_points(timed)
    kept = [item for item, stays in zip(timed, front, strict=True) if stays]
    kept.sort(key=lambda item: (item.latency_ms or 0.0, -item.accuracy))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for item in kept:
        bits = " ".join(f"{b.weight_bits}/{b.activation_bits}" for _, b in item.allocation.items)
        writer.writerow(
            [
                item.index,
                item.proposer,
                item.accuracy,
                item.accuracy_se,
                item.latency_ms,
                item.model_bytes,
                bits,
            ]
        )
    return buffer.getvalue()
