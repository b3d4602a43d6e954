"""MeasuredNetwork: what one drawn network's sensitivities said, and what retraining left of it."""

from dataclasses import dataclass

import numpy as np

from env.responses.columns import Floats, KnownColumns
from env.responses.likelihood import Likelihood
from env.responses.losses import ObservedLosses
from quant.records.json_form import EXACT
from quant.sensitivities import SensitivityKind
from tools.fit_responses.networks import Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredNetwork:
    """A line of the file of rows."""

    __pydantic_config__ = EXACT

    seed: int
    kind: Kind
    task: str
    code: str
    """Digest of the sources that retrain and score."""
    commit: str
    seconds: float
    float_accuracy: float
    """On the images that are scored."""
    decisions: list[int]
    """Of each response: which decision."""
    bits: list[int]
    """Of each response."""
    facts: list[list[float]]
    """Of each response."""
    rises: dict[SensitivityKind, list[float]]
    """Of each response, by each kind of sensitivity."""
    chosen: list[list[int]]
    """Columns that each retrained allocation is the sum of."""
    losses: list[float]
    """Accuracy lost against all-8 on the same images, of each allocation; a share."""
    errors: list[float]
    """Their paired standard errors."""

    def columns(self, kind: SensitivityKind) -> KnownColumns:
        """Return what a kind of sensitivity says."""
        return KnownColumns(
            of=np.array(self.decisions),
            bits=np.array(self.bits),
            rises=np.array(self.rises[kind]),
            facts=np.array(self.facts),
        )

    def likelihood(self) -> Likelihood:
        """Return what was observed."""
        rows: Floats = np.zeros((len(self.losses), len(self.decisions)))
        for row, columns in zip(rows, self.chosen, strict=True):
            row[columns] = 1.0
        observed = ObservedLosses(
            allocations=(), losses=np.array(self.losses), errors=np.array(self.errors)
        )
        return Likelihood(rows=rows, observed=observed)
