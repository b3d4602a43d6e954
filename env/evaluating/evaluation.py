"""Evaluation: score, measurement and size of one Allocation."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, model_serializer

from env.evaluating.seen_look import SeenLook
from hardware.energy.energy import NO_METER
from hardware.measuring.measurement import Measurement
from quant.allocation import Allocation
from quant.objective.metric import ACCURACY, Metric
from quant.objective.paired import PairedDifference
from quant.records.json_form import Plain, formerly, from_plain
from quant.retraining.retrained import Retrained

_Loss = Annotated[  # JSON has no NaN
    float,
    BeforeValidator(lambda loss: math.nan if loss is None else loss),
    PlainSerializer(lambda loss: loss if math.isfinite(loss) else None),
]


_LATER_FIELDS = (
    *("metric", "beside_reference", "retraining", "predicted_mj", "training_samples"),
    *("repeat", "looks"),
)
"""What records of before lack."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What one retrained, compiled and measured candidate turned out to be."""

    index: int
    """Running number of the evaluation within its run, from 0; -1 for practice."""
    proposer: str = ""
    """Which method asked: `uniform`, `ppo`, `random`, ..."""
    repeat: int = 0
    """0, or which of the retrainings with another order of images this is, counted from 1."""
    practice: bool = False
    """True when score and latency are a model's predictions, not a retrained network's."""
    metric: Metric = ACCURACY
    """What `score` means; records of before have accuracies."""
    score: Annotated[float, formerly("score", "accuracy")]
    """The task's metric on the search split, on integer codes (predicted when `practice`); 0 where
    training or conversion failed, as `error` then says. An accuracy is 0..1."""
    score_se: Annotated[float | None, formerly("score_se", "accuracy_se")]
    """Standard error of `score` over the images; None where nobody knows it."""
    loss: _Loss
    """Mean loss on the search split; NaN for practice and after a failed training."""
    beside_reference: PairedDifference | None = None
    """Score and loss less the all-8-bit reference's, image by image on the search split; None
    for practice, after a failed training, and where the reference's scores are not known."""
    retraining: Retrained | None = None
    """Whether its training was kept, or where it began; None for practice, after a failed training
    and in records of before."""
    looks: tuple[SeenLook, ...] = ()
    """What was seen after each decision of a retraining that was spread over the decisions, in
    their order; fewer where it did not stay finite, none with `env.retrain: end` and for practice.
    """
    predicted_ms: float | None = None
    """Latency from the layer table: the only latency a practice evaluation has."""
    predicted_mj: float | None = None
    """Energy from the layer table: the only energy a practice evaluation has."""
    model_bytes: int
    error: str = ""
    """Why the candidate has no measurement; empty when it has one."""
    cached: bool = False
    """True when the measurement is a stored one of an equal program on the same machine."""
    training_samples: int = 0
    """Training images that its retraining sees, also where the result was looked up or failed."""
    train_s: float = 0.0
    build_s: float = 0.0
    measure_s: float = 0.0
    allocation: Allocation
    measurement: Measurement | None = None

    @property
    def quality(self) -> float:
        """What rises as the score gets better; see `Metric.quality`."""
        return self.metric.quality(self.score)

    @property
    def kept(self) -> str:
        """`trained`, or `start` where no step of its training helped; empty where not known."""
        return "" if self.retraining is None else self.retraining.kept

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

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        document: dict[str, Any] = {}
        measured = self.measurement
        for name, value in plain(self).items():
            if name == "predicted_ms":
                document["latency_ms"] = self.latency_ms
            if name == "predicted_mj":
                document["energy_mj"] = self.energy_mj
                document["energy_source"] = measured.energy_source if measured else NO_METER
            document[name] = value
        return document

    @classmethod
    def from_dict(cls, document: Any) -> "Evaluation":
        """Read the form of JSON, of this version or an older one.

        An evaluation whose measurement cannot be believed, as of a board whose clock told no
        numbers, is one that failed.

        Raises:
            ValueError: the document is of another form.
        """
        read = partial(from_plain, cls, lacking=_LATER_FIELDS)
        try:
            return read(document)
        except ValueError as error:
            if not isinstance(document, dict) or document.get("measurement") is None:
                raise
            failed = {"error": f"its measurement cannot be believed: {error}", "measurement": None}
            return read({**document, **failed})
