"""SensitivityTable: the rise of the loss that each tensor causes at each width, and its cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

__all__ = ["SENSITIVITY_KINDS", "Part", "SensitivityCost", "SensitivityKind", "SensitivityTable"]

Part = tuple[str, str, int]
"""(layer, "weight" or "activation", bits)."""

SensitivityKind = Literal["measured", "gauss-newton", "hessian", "fisher"]
SENSITIVITY_KINDS: tuple[SensitivityKind, ...] = get_args(SensitivityKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class SensitivityCost:
    """What an estimate took when it was made."""

    samples: int = 0
    """Images that went through the network, one that went twice counted twice; a backward pass
    belongs to its forward pass."""
    seconds: float = 0.0
    """Wall seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SensitivityTable:
    """Rise of the mean cross-entropy with one tensor at b bits and no retraining.

    Measured over all-8, or estimated over float by a quadratic model of the loss. Layers that
    read one tensor have equal activation entries, since they change together: a sum over a whole
    allocation counts them once.
    """

    kind: SensitivityKind = "measured"
    rises: Mapping[Part, float]
    base_loss: float
    """Mean cross-entropy with everything at 8 bits (measured), or in float (estimated)."""
    images: int
    cost: SensitivityCost = field(default_factory=SensitivityCost)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "kind": self.kind,
            "base_loss": self.base_loss,
            "images": self.images,
            "samples": self.cost.samples,
            "seconds": self.cost.seconds,
            "rises": [[*part, rise] for part, rise in self.rises.items()],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "SensitivityTable":
        """Read a document written by `to_dict`, of this version or an older one."""
        return cls(
            kind=document.get("kind", "measured"),
            rises={(layer, part, bits): rise for layer, part, bits, rise in document["rises"]},
            base_loss=document["base_loss"],
            images=document["images"],
            cost=SensitivityCost(
                samples=document.get("samples", 0), seconds=document.get("seconds", 0.0)
            ),
        )
