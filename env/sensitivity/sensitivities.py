"""Sensitivities: how much the loss rises with one tensor at b bits, as others read it."""

from collections.abc import Mapping
from typing import Protocol

from env.decisions.decisions import Decision, DecisionSpace
from quant.layers import FLOAT_BITS, MAX_BITS, MIN_BITS
from quant.sensitivities import Orthogonality, SensitivityKind, SensitivityTable

Sensitivities = Mapping[tuple[str, str, int], float]
"""`{(layer, "weight" | "activation", bits): rise of the mean cross-entropy}`."""


def rise_of(rises: Sensitivities, layer: str, kind: str, bits: int) -> float:
    """Return one tensor's rise of the loss; 0 for weights that are left in float."""
    return 0.0 if bits == FLOAT_BITS else rises[layer, kind, bits]


def decision_rise(rises: Sensitivities, decision: Decision, bits: int) -> float:
    """Return the sum of the rises of all that a decision decides."""
    return sum(rise_of(rises, part.layer, part.kind, bits) for part in decision.parts)


def no_sensitivities(space: DecisionSpace) -> Sensitivities:
    """Return rises of zero for all of a network, of which nobody measured any."""
    parts = (part for pair in space.parts.values() for part in pair if part is not None)
    return {
        (part.layer, part.kind, bits): 0.0
        for part in parts
        for bits in range(MIN_BITS, MAX_BITS + 1)
    }


class SensitivitySource(Protocol):
    """Where a method gets the sensitivity it wants; made when first asked for, and charged."""

    def table(self, kind: SensitivityKind) -> SensitivityTable:
        """Return the rises of the loss at every width that may be chosen."""

    def orthogonality(self) -> Orthogonality:
        """Return how alike the layers' features are."""
