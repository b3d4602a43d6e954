"""ListedIsland: one float island for people, as a run keeps it in its folder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["ISLANDS", "ListedIsland"]

ISLANDS = "islands.json"
"""The run's file; there is none where the network has no islands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedIsland:
    """One float island for people."""

    name: str
    operators: tuple[str, ...]
    reason: str
    """Why it stays in float, and where in the network it is."""
    us: float | None
    """Microseconds of one execution; None where nothing was measured."""
    share: float | None
    """Of what the layer table says of all-8-bit, 0..1."""

    def __str__(self) -> str:
        """Return one line."""
        share = "" if self.share is None else f", {self.percent} of the time at 8 bits"
        return f"float island {self.name} ({', '.join(self.operators)}){share}: {self.reason}"

    @property
    def percent(self) -> str:
        """The share for people."""
        return "-" if self.share is None else f"{100 * self.share:.1f} %"

    def to_dict(self) -> dict[str, Any]:
        """Return an entry of the run's file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "ListedIsland":
        """Read what `to_dict` wrote."""
        return cls(**{**document, "operators": tuple(document["operators"])})
