"""TileTask: one search for tiles."""

from dataclasses import dataclass

from hardware.graph.tensor_widths import BitPair


@dataclass(frozen=True, kw_only=True, slots=True)
class TileTask:
    """One search: the layers of equal shape and family, and one of them to measure."""

    layer: str
    pair: BitPair
    what: str
    """The layer and the family, for people."""
    known: bool
    """Whether the choice is on the disk already."""
    weight: float
    """Multiply-accumulates of all layers that share the choice: large ones are searched first."""
