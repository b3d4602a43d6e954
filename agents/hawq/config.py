"""HAWQConfig: what HAWQ-V3 looks at."""

from dataclasses import dataclass

from agents.costs.cost_kind import CostKind
from agents.judging.config import Judged
from env.errors import TaskError
from quant.records.ranges import check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class HAWQConfig(Judged):
    """What HAWQ-V3 looks at beside Hessian traces."""

    cost: CostKind = "budget"
    """What it pays with: the budget's own resources, or one quantity whose limit is raised as far
    as the budget allows."""

    def __post_init__(self) -> None:
        """Refuse a race that is no number of evaluations."""
        check_ranges(self, "hawq.", TaskError)
