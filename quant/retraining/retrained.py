"""Retrained: what became of one retraining, as records keep it."""

from dataclasses import dataclass
from typing import Literal

Kept = Literal["trained", "start"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrained:
    """What became of one retraining."""

    loss: float | None = None
    """Mean training loss of the last quarter of the steps; None without steps, or where it did not
    stay finite."""
    kept: Kept
    """`start`: the network is where it was before the first step, compensated if that was asked
    for, because no step made it better on the held-back images."""
    start_loss: float | None = None
    """Mean loss on the held-back images before the first step; None where nothing was
    compared."""
    trained_loss: float | None = None
    """The same after the last step; None, too, where the training did not stay finite."""
    reach: float | None = None
    """How far values moved (see `quant.retraining.rates.reach_of` and `range_test`); None without
    steps and in records of before."""
