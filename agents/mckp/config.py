"""MCKPConfig: what MCKP looks at."""

from dataclasses import dataclass
from typing import Literal

from agents.costs.cost_kind import CostKind
from agents.judging.config import Judged
from env.errors import TaskError
from quant.records.ranges import check_ranges
from quant.sensitivities import SensitivityKind


@dataclass(frozen=True, kw_only=True, slots=True)
class MCKPConfig(Judged):
    """What the multiple-choice knapsack looks at, who solves it, and who says what is best."""

    cost: CostKind = "budget"
    """What it pays with: the budget's own resources, or one quantity whose limit is raised as far
    as the budget allows."""
    sensitivity: SensitivityKind = "gauss-newton"
    """What a choice is taken to lose: the paper's estimate, or another method's."""
    solver: Literal["greedy", "exact"] = "greedy"
    """The paper's greedy steps, or the integer program they approximate."""

    def __post_init__(self) -> None:
        """Refuse a race that is no number of evaluations."""
        check_ranges(self, "mckp.", TaskError)
