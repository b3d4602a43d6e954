"""MCKPConfig: what MCKP looks at."""

from dataclasses import dataclass
from typing import Literal

from agents.costs.cost_kind import CostKind
from quant.sensitivities import SensitivityKind


@dataclass(frozen=True, kw_only=True, slots=True)
class MCKPConfig:
    """What the multiple-choice knapsack looks at, and who solves it."""

    cost: CostKind = "budget"
    """What it pays with: the budget's own resources, or one quantity whose limit is raised as far
    as the budget allows."""
    sensitivity: SensitivityKind = "gauss-newton"
    """What a choice is taken to lose: the paper's estimate, or another method's."""
    solver: Literal["greedy", "exact"] = "greedy"
    """The paper's greedy steps, or the integer program they approximate."""
