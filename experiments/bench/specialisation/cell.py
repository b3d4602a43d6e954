"""Cell: what one view's best allocation takes on a view."""

from dataclasses import dataclass
from typing import Any

from pydantic import model_serializer

from env.decisions.budget import MEASURED_TOLERANCE
from hardware.measuring.measurement import MeasurementSource
from quant.records.json_form import Plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One view's best allocation on a view."""

    made_for: str
    deployed_on: str
    source: MeasurementSource
    latency_ms: float
    own_ms: float
    """What the best allocation of `deployed_on` takes."""
    limit_ms: float
    """The budget of `deployed_on`."""
    stable: bool

    @property
    def is_own(self) -> bool:
        """Whether the allocation is where it was made for."""
        return self.made_for == self.deployed_on

    @property
    def ratio(self) -> float:
        """Time over that of the view's own best."""
        return self.latency_ms / self.own_ms

    @property
    def beyond(self) -> float:
        """Time over the budget, less 1."""
        return self.latency_ms / self.limit_ms - 1.0

    @property
    def keeps(self) -> bool:
        """Whether the budget is kept, as far as timings repeat."""
        return self.beyond <= MEASURED_TOLERANCE

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        derived = {"ratio": self.ratio, "beyond": self.beyond, "keeps_budget": self.keeps}
        return {**plain(self), **derived}
