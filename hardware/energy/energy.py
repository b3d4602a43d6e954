"""Energy: what one execution of a program takes, and where that is known from."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODELLED = "modelled"
"""Source of energies that nobody measured: named watts times measured time."""
NO_METER = "none"
"""Source that stands beside an energy that does not exist."""
UNSTABLE_ERROR = 0.05
"""Standard error, as a share of the mean, from which an energy is called unstable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Energy:
    """Immutable record of one energy window, or of a model. Every block is kept."""

    source: str
    """`rapl`, `ina3221`, `pmic`, `external` or `modelled`."""
    what: str
    """Rails, zones, command or formula."""
    blocks_mj: tuple[float, ...]
    """Gross millijoules of one execution, for each block of the window."""
    idle_w: float | None = None
    """Power before the window, while nothing ran; None for a model."""
    loops: int = 1
    """Executions in the whole window."""
    window_s: float = 0.0
    """Length of the window; 0 for a model."""
    samples: int | None = None
    """Readings of power in the window; None for counters and models."""

    def __post_init__(self) -> None:
        """Refuse blocks that are no energies: a board, a store or a folder may say anything.

        Raises:
            ValueError: a block is not finite, or their mean is not above 0.
        """
        known = [*self.blocks_mj, *([] if self.idle_w is None else [self.idle_w])]
        if not self.blocks_mj or not all(map(math.isfinite, known)) or self.gross_mj <= 0:
            raise ValueError(f"blocks_mj: expected energies above 0, found {list(self.blocks_mj)}")

    @property
    def gross_mj(self) -> float:
        """Millijoules of one execution, with everything that draws power beside it."""
        return statistics.fmean(self.blocks_mj)

    @property
    def net_mj(self) -> float | None:
        """Gross less what the idle device would have taken meanwhile; None for a model.

        It may come out negative where a program takes hardly more than idling.
        """
        if self.idle_w is None:
            return None
        return self.gross_mj - 1000.0 * self.idle_w * self.window_s / self.loops

    @property
    def error_mj(self) -> float:
        """Standard error of `gross_mj`, from the means of the blocks."""
        if len(self.blocks_mj) < 2:
            return 0.0
        return statistics.stdev(self.blocks_mj) / math.sqrt(len(self.blocks_mj))

    @property
    def stable(self) -> bool:
        """Whether the blocks agree."""
        return self.error_mj <= UNSTABLE_ERROR * abs(self.gross_mj)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document, every block and the summary."""
        return {
            "energy_source": self.source,
            "meter": self.what,
            "gross_mj": self.gross_mj,
            "net_mj": self.net_mj,
            "error_mj": self.error_mj,
            "idle_w": self.idle_w,
            "stable": self.stable,
            "blocks_mj": list(self.blocks_mj),
            "loops": self.loops,
            "window_s": self.window_s,
            "samples": self.samples,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Energy":
        """Read a document written by `to_dict`; the summary is computed again."""
        return cls(
            source=document["energy_source"],
            what=document["meter"],
            blocks_mj=tuple(document["blocks_mj"]),
            idle_w=document["idle_w"],
            loops=document["loops"],
            window_s=document["window_s"],
            samples=document["samples"],
        )


def energy_label(name: str, source: str) -> str:
    """Return the name of an energy's value, marked where the energy is modelled.

    `evaluation/energy_mj` becomes `evaluation/energy_modelled_mj`.
    """
    return name.replace("energy", "energy_modelled") if source == MODELLED else name


def modelled_energy(watts: float, one_ms: float) -> Energy:
    """Return named watts times the time of one execution, labelled `modelled`."""
    return Energy(
        source=MODELLED,
        what=f"{watts:g} W, as named in the configuration, times the time",
        blocks_mj=(watts * one_ms,),  # milliseconds times watts are millijoules
    )
