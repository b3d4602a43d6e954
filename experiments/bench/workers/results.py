"""What a bench of workers found."""

import statistics
from dataclasses import dataclass
from typing import Any

from pydantic import model_serializer

from quant.records.json_form import Plain

_HOUR_S = 3600.0
ASKED_S = 3.0
"""Seconds of the evaluation that the overhead is shown as a share of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """The same allocations, evaluated with a cluster and trained by plain processes."""

    evaluations: int
    plain_s: float
    """Until the last plain process was done; they train and score, and measure nothing."""
    cluster_s: float
    """Until the last evaluation was finished: retrained by a worker, measured here."""

    @property
    def share(self) -> float:
        """Evaluations an hour with the cluster, as a share of what plain processes train."""
        return self.plain_s / self.cluster_s


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkersBench:
    """What workers of a cluster do beside as many plain processes, in turns."""

    task: str
    workers: int
    threads: int
    """Of each worker, and of each plain process."""
    cpus: int
    rounds: tuple[Round, ...]
    trainings_s: tuple[float, ...]
    """Seconds of each retraining inside a worker, in the rounds."""
    overheads_s: tuple[float, ...]
    """Of retrainings that were asked for one by one: seconds until the result was here, less those
    inside the worker."""

    @property
    def cluster_per_hour(self) -> float:
        """Evaluations an hour with the cluster: median of the rounds."""
        return statistics.median(
            each.evaluations * _HOUR_S / each.cluster_s for each in self.rounds
        )

    @property
    def plain_per_hour(self) -> float:
        """Retrainings an hour by plain processes: median of the rounds."""
        return statistics.median(each.evaluations * _HOUR_S / each.plain_s for each in self.rounds)

    @property
    def share(self) -> float:
        """The first as a share of the second: median of the rounds."""
        return statistics.median(each.share for each in self.rounds)

    @property
    def overhead_s(self) -> float:
        """Median of the overheads."""
        return statistics.median(self.overheads_s)

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        return {
            **plain(self),
            "cluster_per_hour": self.cluster_per_hour,
            "plain_per_hour": self.plain_per_hour,
            "share": self.share,
            "overhead_median_s": self.overhead_s,
            f"overhead_of_{ASKED_S:g}_s": self.overhead_s / ASKED_S,
        }
