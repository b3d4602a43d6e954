"""Specialisation: what each view's best allocation takes and loses on every view."""

from dataclasses import dataclass
from typing import Any

from pydantic import model_serializer

from experiments.bench.specialisation.cell import Cell
from experiments.bench.specialisation.retrained import Retrained
from experiments.bench.specialisation.sentence import Foreign, sentence
from hardware.layers.table import LayerTable
from hardware.measuring.measurement import MeasurementSource
from quant.allocation import Allocation
from quant.objective.metric import Metric
from quant.records.json_form import Plain

_SCHEMA = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """The best allocation of one view, and what it loses."""

    view: str
    device: str
    source: MeasurementSource
    budget: str
    """Where the view's limit comes from, in words."""
    saves: float
    """Share of all-8's time that the fastest uniform allocation saves on the view."""
    all_8_ms: float
    """What all-8 takes there, beside the best allocations."""
    allocation: Allocation
    predicted_lost: float
    """Quality lost against all-8, by a model that no retraining of the network has taught."""
    retrained: tuple[Retrained, ...]
    """One for each seed; empty where nothing was retrained."""
    table: LayerTable

    @property
    def lost(self) -> float:
        """Quality lost against all-8: the retrainings' mean, else what is predicted."""
        if not self.retrained:
            return self.predicted_lost
        return sum(one.lost for one in self.retrained) / len(self.retrained)


@dataclass(frozen=True, kw_only=True, slots=True)
class Specialisation:
    """The matrix: every view's best allocation on every view."""

    task: str
    seed: int
    share: float
    """Budgets, as shares of the way from the fastest uniform allocation's time to all-8's."""
    prior: str
    """Where predictions of losses come from."""
    metric: Metric
    left_out: str
    """What was left out, and what helps; empty for nothing."""
    rows: tuple[Row, ...]
    cells: tuple[Cell, ...]
    """Row by row, in the order of the rows."""

    @property
    def losses_are(self) -> str:
        """Where losses come from."""
        return "retrained" if self.rows[0].retrained else "predicted"

    @property
    def sentence(self) -> str:
        """What the matrix shows."""
        made = {row.view: row for row in self.rows}
        foreign = [
            Foreign(
                cell=cell,
                loses_more=made[cell.made_for].lost - made[cell.deployed_on].lost,
                same=made[cell.made_for].allocation == made[cell.deployed_on].allocation,
            )
            for cell in self.cells
            if not cell.is_own
        ]
        return sentence(foreign, len(self.rows), self.metric, self.losses_are)

    def cell(self, made_for: str, deployed_on: str) -> Cell:
        """Return one cell."""
        wanted = made_for, deployed_on
        return next(one for one in self.cells if (one.made_for, one.deployed_on) == wanted)

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        return {
            "specialisation_schema": _SCHEMA,
            "sentence": self.sentence,
            "losses_are": self.losses_are,
            **plain(self),
        }
