"""NSGA2Config: sizes of the genetic search."""

from dataclasses import dataclass

from agents.costs.cost_kind import CostKind
from env.errors import TaskError

__all__ = ["NSGA2Config"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NSGA2Config:
    """How allocations are bred.

    Optuna's settings, with a population for tens of evaluations instead of thousands.
    """

    cost: CostKind = "budget"
    """The second objective: what is budgeted (latency where nothing is), or one quantity."""
    population: int = 8
    """Individuals of a generation; those outside the budget are among them and cost nothing."""
    crossover: float = 0.9
    """Probability that a child has two parents."""
    swapping: float = 0.5
    """Probability that a decision comes from the second of them."""
    mutation: float | None = None
    """Probability that a decision is drawn anew; None for one decision in each child."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot breed."""
        if self.population < 2:
            raise TaskError(f"nsga2.population: expected at least 2, found {self.population}")
        for name in ("crossover", "swapping", "mutation"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise TaskError(f"nsga2.{name}: expected 0 to 1, found {value}")
