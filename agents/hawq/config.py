"""HAWQConfig: what HAWQ-V3 looks at."""

from dataclasses import dataclass

from agents.costs.cost_kind import CostKind


@dataclass(frozen=True, kw_only=True, slots=True)
class HAWQConfig:
    """What HAWQ-V3 looks at beside Hessian traces."""

    cost: CostKind = "budget"
    """What it pays with: the budget's own resources, or one quantity whose limit is raised as far
    as the budget allows."""
