"""LegalActionsEnv: a view of the environment in which every action is legal, for env checkers."""

from typing import Any

import numpy as np

from env.bit_allocation import BitAllocationEnv
from env.observation import ObservationVector


class LegalActionsEnv(BitAllocationEnv):
    """BitAllocationEnv that takes the nearest legal bit-width for an illegal one.

    Environment checkers sample actions without asking for masks. A subclass and no wrapper,
    because they look at the unwrapped environment. Not for learning: an agent would be credited
    with actions it did not take.
    """

    def step(self, action: np.int64) -> tuple[ObservationVector, float, bool, bool, dict[str, Any]]:
        """Fix the next bit-width at the legal one nearest to `action`, the smaller of two."""
        legal = np.flatnonzero(self.action_masks())
        nearest = legal[np.abs(legal - int(action)).argmin()]
        return super().step(np.int64(nearest))
