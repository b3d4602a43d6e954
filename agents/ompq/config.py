"""OMPQConfig: what OMPQ looks at."""

from dataclasses import dataclass
from typing import Literal

from agents.costs.cost_kind import CostKind
from agents.judging.config import Judged
from env.errors import TaskError
from quant.records.ranges import NotNegative, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class OMPQConfig(Judged):
    """What OMPQ looks at beside the orthogonality of layers."""

    cost: CostKind = "budget"
    """What it pays with: the budget's own resources, or one quantity whose limit is raised as far
    as the budget allows."""
    beta: NotNegative = 1.0
    """How much more bits an orthogonal layer is worth, `exp(-beta * similarity)`; the published
    values go from 1e-9 to 100, chosen for each network."""
    activations: Literal["allocated", "uniform"] = "allocated"
    """Whether activations get bits like weights, or all the same bits as in the paper."""

    def __post_init__(self) -> None:
        """Refuse a negative beta, which would reward layers for being alike."""
        check_ranges(self, "ompq.", TaskError)
