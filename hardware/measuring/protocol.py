"""Protocol: how a program is timed."""

from dataclasses import dataclass
from typing import Annotated

from hardware.errors import TargetError
from quant.records.json_form import EXACT
from quant.records.ranges import Count, Natural, Positive, Seconds, at_least, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolConfig:
    """How every program of a run is timed. Source: pyperf's rules for values and warm-ups."""

    warmups: Natural = 3
    """Repeats that are run first and thrown away."""
    repeats: Annotated[int, at_least(5)] = 20
    """Repeats that are kept; each is the mean of a calibrated number of executions."""
    min_repeat_ms: Positive = 5.0
    """Executions in one repeat are calibrated to take at least this long."""
    batch: Count = 1
    """Images in one execution."""
    timeout_s: Seconds = 60.0
    """Wall-clock limit for building or timing one candidate, enforced on the caller's side. More by
    the load of a core where that is above 1, and twice as much for a second try."""

    __pydantic_config__ = EXACT

    def __post_init__(self) -> None:
        """Refuse counts and times that cannot measure anything."""
        check_ranges(self, "protocol.", TargetError)
