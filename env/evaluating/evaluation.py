"""Evaluation: accuracy, measurement and size of one Allocation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hardware.energy.energy import NO_METER
from hardware.measuring.measurement import Measurement
from quant.allocation import Allocation

__all__ = ["Evaluation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What one retrained, compiled and measured candidate turned out to be."""

    allocation: Allocation
    index: int
    """Running number of the evaluation within its run, from 0; -1 for practice."""
    accuracy: float
    """Top-1 on the search split, on integer codes, 0..1 (predicted when `practice`); 0 where
    training or conversion failed, as `error` then says."""
    accuracy_se: float
    """Standard error of `accuracy`, from the number of images."""
    loss: float
    """Mean cross-entropy on the search split; NaN for practice and after a failed training."""
    model_bytes: int
    measurement: Measurement | None = None
    predicted_ms: float | None = None
    """Latency from the layer table: the only latency a practice evaluation has."""
    predicted_mj: float | None = None
    """Energy from the layer table: the only energy a practice evaluation has."""
    error: str = ""
    """Why the candidate has no measurement; empty when it has one."""
    practice: bool = False
    """True when accuracy and latency are a model's predictions, not a retrained network's."""
    cached: bool = False
    """True when the measurement is a stored one of an equal program on the same machine."""
    proposer: str = ""
    """Which method asked: `uniform`, `ppo`, `random`, ..."""
    training_samples: int = 0
    """Training images that its retraining sees, also where the result was looked up or failed."""
    train_s: float = 0.0
    build_s: float = 0.0
    measure_s: float = 0.0

    @property
    def device_s(self) -> float:
        """Seconds that the program ran in timed repeats; for a failure, all that was spent."""
        return self.measure_s if self.measurement is None else self.measurement.device_s

    @property
    def latency_ms(self) -> float | None:
        """Measured median, or the layer table's prediction for practice; None after an error."""
        if self.measurement is not None:
            return self.measurement.median_ms
        return self.predicted_ms if self.practice else None

    @property
    def energy_mj(self) -> float | None:
        """Gross millijoules, or the layer table's prediction for practice; None without a meter."""
        if self.measurement is not None:
            return self.measurement.energy_mj
        return self.predicted_mj if self.practice else None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Evaluation":
        """Return itself: nothing changes it, and vectorised environments copy every `info`."""
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "index": self.index,
            "proposer": self.proposer,
            "practice": self.practice,
            "accuracy": self.accuracy,
            "accuracy_se": self.accuracy_se,
            "loss": self.loss if math.isfinite(self.loss) else None,  # JSON has no NaN
            "latency_ms": self.latency_ms,
            "predicted_ms": self.predicted_ms,
            "energy_mj": self.energy_mj,
            "energy_source": NO_METER
            if self.measurement is None
            else self.measurement.energy_source,
            "predicted_mj": self.predicted_mj,
            "model_bytes": self.model_bytes,
            "error": self.error,
            "cached": self.cached,
            "training_samples": self.training_samples,
            "train_s": self.train_s,
            "build_s": self.build_s,
            "measure_s": self.measure_s,
            "allocation": self.allocation.to_dict(),
            "measurement": None if self.measurement is None else self.measurement.to_dict(),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Evaluation":
        """Read a document written by `to_dict`."""
        measurement = document["measurement"]
        plain = {name: document[name] for name in _PLAIN}
        if plain["loss"] is None:
            plain["loss"] = math.nan
        return cls(
            predicted_mj=document.get("predicted_mj"),  # absent in records of older versions
            allocation=Allocation.from_dict(document["allocation"]),
            measurement=None if measurement is None else Measurement.from_dict(measurement),
            training_samples=document.get("training_samples", 0),  # runs of older versions
            **plain,
        )


_PLAIN = (
    "index",
    "proposer",
    "practice",
    "accuracy",
    "accuracy_se",
    "loss",
    "predicted_ms",
    "model_bytes",
    "error",
    "cached",
    "train_s",
    "build_s",
    "measure_s",
)
