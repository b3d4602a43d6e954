"""Protocol: how a program is timed."""

from dataclasses import dataclass

from hardware.errors import TargetError
from quant.json_form import EXACT

__all__ = ["ProtocolConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolConfig:
    """How every program of a run is timed. Source: pyperf's rules for values and warm-ups."""

    warmups: int = 3
    """Repeats that are run first and thrown away."""
    repeats: int = 20
    """Repeats that are kept; each is the mean of a calibrated number of executions."""
    min_repeat_ms: float = 5.0
    """Executions in one repeat are calibrated to take at least this long."""
    batch: int = 1
    """Images in one execution."""
    timeout_s: float = 60.0
    """Wall-clock limit for building and timing one candidate, enforced on the caller's side."""

    __pydantic_config__ = EXACT

    def __post_init__(self) -> None:
        """Refuse counts and times that cannot measure anything."""
        for name, least in (("warmups", 0), ("repeats", 5), ("batch", 1)):
            if getattr(self, name) < least:
                raise TargetError(
                    f"protocol.{name}: expected at least {least}, found {getattr(self, name)}"
                )
        for name in ("min_repeat_ms", "timeout_s"):
            if not getattr(self, name) > 0:
                raise TargetError(
                    f"protocol.{name}: expected more than 0, found {getattr(self, name)}"
                )
