"""GPConfig: what the Gaussian process begins with."""

from dataclasses import dataclass

from agents.judging.config import Judged
from env.errors import TaskError
from quant.records.ranges import Natural, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class GPConfig(Judged):
    """How the Gaussian process samples; the rest is Optuna's."""

    random: Natural = 4
    """Random allocations before the process is asked, after the uniform ones."""

    def __post_init__(self) -> None:
        """Refuse a number below 0."""
        check_ranges(self, "gp.", TaskError)
