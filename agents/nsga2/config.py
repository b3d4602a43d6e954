"""NSGA2Config: sizes of the genetic search."""

from dataclasses import dataclass
from typing import Annotated

from agents.costs.cost_kind import CostKind
from agents.judging.config import Judged
from env.errors import TaskError
from quant.records.ranges import Share, at_least, check_ranges, within


@dataclass(frozen=True, kw_only=True, slots=True)
class NSGA2Config(Judged):
    """How allocations are bred.

    Optuna's settings, with a population for tens of evaluations instead of thousands.
    """

    cost: CostKind = "budget"
    """The second objective: what is budgeted (latency where nothing is), or one quantity."""
    population: Annotated[int, at_least(2)] = 8
    """Individuals of a generation; those outside the budget are among them and cost nothing."""
    crossover: Share = 0.9
    """Probability that a child has two parents."""
    swapping: Share = 0.5
    """Probability that a decision comes from the second of them."""
    mutation: Annotated[float | None, within(0, 1)] = None
    """Probability that a decision is drawn anew; None for one decision in each child."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot breed."""
        check_ranges(self, "nsga2.", TaskError)
