"""CLADOConfig: what the pairwise terms are measured on."""

from dataclasses import dataclass

from agents.judging.config import Judged
from env.errors import TaskError
from quant.records.ranges import Count, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class CLADOConfig(Judged):
    """What the pairwise terms are measured on, and whether they count."""

    images: Count = 64
    """Training images that every pair of decisions and widths is scored on."""
    pairs: bool = True
    """Whether decisions that change together count; else only single ones."""

    def __post_init__(self) -> None:
        """Refuse a number of images below 1."""
        check_ranges(self, "clado.", TaskError)
