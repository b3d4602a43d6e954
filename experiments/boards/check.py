"""Check: one thing that the doctor looked at."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Check", "Outcome"]

Outcome = Literal["good", "warning", "bad"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What was found, and what helps where it is not good."""

    name: str
    outcome: Outcome
    found: str
    cure: str = ""
    lost: bool = False
    """Whether the board cannot be reached, so that nothing further can be looked at."""
