"""Progress: the finished evaluations of a run as events, each once."""

import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from env.evaluating.evaluation import Evaluation
from experiments.record import files
from experiments.service.store.counters import SECONDS_BOUNDS, count
from hardware.facts import MeasurementFacts
from quant.records.strict_json import parse_json

_logger = logging.getLogger(__name__)
_MOST_BYTES = 1 << 22
"""Of one look; the rest is read at the next one."""


def read_new(run: Path, read_bytes: int) -> tuple[list[Evaluation], int]:
    """Return the evaluations of a run that were not read yet, and how much is read then.

    Args:
        run: The run's folder; its file need not be there yet.
        read_bytes: How much was read before.
    """
    try:
        descriptor = os.open(run / files.EVALUATIONS, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return [], read_bytes
    with open(descriptor, "rb") as file:
        file.seek(read_bytes)
        content = file.read(_MOST_BYTES)
    found, end = [], content.rfind(b"\n") + 1
    for line in content[:end].splitlines():
        try:
            found.append(Evaluation.from_dict(parse_json(line, with_nan=True)))
        except (ValueError, KeyError, TypeError, AttributeError):
            _logger.warning("an evaluation cannot be read", extra={"run": str(run)})
    return found, read_bytes + end


def summary(evaluation: Evaluation) -> Mapping[str, Any]:
    """Return what an event tells of an evaluation; the run's own file has all of it."""
    measured, beside = evaluation.measurement, evaluation.beside_reference
    return {
        "index": evaluation.index,
        "proposer": evaluation.proposer,
        "metric": evaluation.metric.name,
        "score": evaluation.score,
        "loss": evaluation.loss,
        "beside_all_8": None if beside is None else beside.score,
        "latency_ms": evaluation.latency_ms,
        "energy_mj": evaluation.energy_mj,
        "source": None if measured is None else measured.source,
        "stable": None if measured is None else measured.verdict.stable,
        "hottest_c": None if measured is None else _hottest_c(measured.facts),
        "model_bytes": evaluation.model_bytes,
        "error": evaluation.error,
        "bits": {
            name: [bits.weight_bits, bits.activation_bits]
            for name, bits in evaluation.allocation.items
        },
    }


def _hottest_c(facts: MeasurementFacts) -> float | None:
    """Return how hot the machine was behind a timing; None where it does not say."""
    found = facts.get("after", facts.get("before", {})).get("hottest_c")
    return found if isinstance(found, int | float) else None


def count_evaluations(connection: sqlite3.Connection, evaluations: list[Evaluation]) -> None:
    """Add finished evaluations to the counters."""
    for evaluation in evaluations:
        measured = evaluation.measurement
        outcome = "failed" if measured is None else "stored" if evaluation.cached else "measured"
        labels = {"method": evaluation.proposer, "outcome": outcome}
        count(connection, "evaluations", labels)
        if measured is not None and not measured.verdict.stable:
            count(connection, "unstable_timings", {})
        seconds = evaluation.train_s + evaluation.build_s + evaluation.measure_s
        count(connection, "evaluation_seconds_sum", {}, seconds)
        for bound in _bounds_above(seconds):
            count(connection, "evaluation_seconds_bucket", {"le": bound})


def _bounds_above(seconds: float) -> Iterator[str]:
    yield from (str(bound) for bound in SECONDS_BOUNDS if seconds <= bound)
    yield "+Inf"
