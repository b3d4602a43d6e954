"""EvolutionConfig: sizes of the evolutionary search."""

from dataclasses import dataclass

from agents.judging.config import Judged
from env.errors import TaskError
from quant.records.ranges import Count, Natural, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class EvolutionConfig(Judged):
    """How allocations change and are selected; sized for tens of evaluations."""

    offspring: Count = 4
    """Mutated copies of the parent in a generation."""
    survivors: Natural = 1
    """Best offspring that are evaluated again with another seed before they may become the
    parent; 0 believes the first score."""
    swaps: Count = 3
    """Most swaps of one mutation. Their number is the smaller of two draws, as published."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot breed."""
        check_ranges(self, "evolution.", TaskError)
