"""TileReport: what a tile search did, in numbers and as a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class TileReport:
    """Outcome of the tile search of one network; counts are of shapes and families."""

    searched: int = 0
    changed: int = 0
    """Searches that kept another tile than the default."""
    known: int = 0
    """Choices that were on the disk already."""
    left: int = 0
    """What the time limit left out: these layers keep the default tile until the next search."""
    failed: tuple[str, ...] = ()
    """One sentence for each search that came to no result; its layers keep the default tile."""
    seconds: float = 0.0
    limit_s: float = 0.0
    why_none: str = ""
    """Why nothing was searched, where nothing can be."""

    @classmethod
    def of(cls, reports: Sequence["TileReport"]) -> "TileReport":
        """Return several networks' reports as one."""
        return cls(
            searched=sum(one.searched for one in reports),
            changed=sum(one.changed for one in reports),
            known=sum(one.known for one in reports),
            left=sum(one.left for one in reports),
            failed=tuple(sentence for one in reports for sentence in one.failed),
            seconds=sum(one.seconds for one in reports),
            limit_s=reports[0].limit_s,
            why_none=reports[0].why_none,
        )

    @property
    def sentence(self) -> str:
        """What happened, for the terminal and the log."""
        if self.why_none:
            return f"tiles: {self.why_none}"
        parts = [
            f"{self.searched} searched in {self.seconds:.0f} s, {self.changed} of them changed",
            f"{self.known} known",
        ]
        if self.left:
            parts.append(f"{self.left} left at the default by target.tune_s={self.limit_s:g}")
        if self.failed:
            parts.append(f"{len(self.failed)} failed, the first: {self.failed[0]}")
        return f"tiles: {', '.join(parts)}"
