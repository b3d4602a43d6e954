"""Sensitivities: how much the loss rises with one tensor at b bits, as others read it."""

from collections.abc import Mapping
from typing import Protocol

from quant.sensitivities import Orthogonality, SensitivityKind, SensitivityTable

Sensitivities = Mapping[tuple[str, str, int], float]
"""`{(layer, "weight" | "activation", bits): rise of the mean cross-entropy}`."""


class SensitivitySource(Protocol):
    """Where a method gets the sensitivity it wants; made when first asked for, and charged."""

    def table(self, kind: SensitivityKind) -> SensitivityTable:
        """Return the rises of the loss at every width that may be chosen."""

    def orthogonality(self) -> Orthogonality:
        """Return how alike the layers' features are."""
