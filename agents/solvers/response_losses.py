"""Losses of a solver from responses by decision, as a posterior or one of its samples has them."""

import numpy as np
import numpy.typing as npt

from agents.solvers.cost_model import Losses
from env.decisions.decisions import DecisionSpace, own_parts


def response_losses(space: DecisionSpace, table: npt.NDArray[np.float64]) -> Losses:
    """Return each layer's losses; what a decision loses is counted at its first part.

    Args:
        space: What may be decided.
        table: Quality lost of each decision at each of `space.widths`, `[decisions, widths]`.
    """
    column = {bits: place for place, bits in enumerate(space.widths)}
    first = {decision.parts[0]: step for step, decision in enumerate(space.decisions)}

    def lost(layer: str, pair: tuple[int, int]) -> float:
        return sum(
            float(table[first[part], column[bits]])
            for part, bits in own_parts(space, layer, pair).items()
            if part in first
        )

    return {
        layer.name: {pair: lost(layer.name, pair) for pair in space.pairs(layer.name)}
        for layer in space.layers
    }
