"""Sensitivities: how much the loss rises with one tensor at b bits, as the environment reads it."""

from collections.abc import Mapping

__all__ = ["Sensitivities"]

Sensitivities = Mapping[tuple[str, str, int], float]
"""`{(layer, "weight" | "activation", bits): rise of the mean cross-entropy}`."""
