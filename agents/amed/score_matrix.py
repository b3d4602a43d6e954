"""ScoreMatrix: AMED's scores of every bit choice of every decision, and the chain that samples it.

Source: Kimhi et al. 2024, "AMED: Automatic Mixed-Precision Quantization for Edge Devices"
(Mathematics 12(12)), and its released code. Two things differ from the code on purpose. Its
acceptance `p(new) / p(old)` leaves out the proposal's probability, so that its chain settles on
p squared: that is the sampler `sharpened`, and `exact` has the correction. And its running mean
fades choices that were not sampled, which makes early luck grow; here they keep their scores.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from agents.costs.spending import Columns

Sampler = Literal["exact", "sharpened"]


class ScoreMatrix:
    """Scores float64 `[decisions, choices]`; a decision's probabilities are the softmax of its row.

    They start uniform in 0..1, as published; minus infinity fills the rows of shorter menus.
    """

    def __init__(self, choices: Columns, temperature: float, rng: np.random.Generator) -> None:
        """Draw the first scores; `choices` `[decisions]` says how many widths each menu has."""
        self.scores = rng.random((len(choices), int(choices.max())))
        self.scores[np.arange(self.scores.shape[1]) >= choices[:, None]] = -np.inf
        self._temperature = temperature

    def probabilities(self) -> npt.NDArray[np.float64]:
        """Return the softmax of each row over the temperature, `[decisions, choices]`."""
        exponents = np.exp((self.scores - self.scores.max(1, keepdims=True)) / self._temperature)
        shares: npt.NDArray[np.float64] = exponents / exponents.sum(1, keepdims=True)
        return shares

    def update(self, columns: Columns, score: float, averaging: float) -> None:
        """Credit one score to all the choices that were made.

        Args:
            columns: The choices.
            score: Above 0 where they did better than the reference.
            averaging: Weight of the new score in the running mean; 0 adds it up instead, as the
                release does with `EMA = -1`.
        """
        rows = np.arange(len(columns))
        if averaging == 0:
            self.scores[rows, columns] += score
        else:
            self.scores[rows, columns] += averaging * (score - self.scores[rows, columns])

    def sample(
        self,
        columns: Columns,
        rng: np.random.Generator,
        sampler: Sampler,
        allowed: Callable[[Columns], bool],
    ) -> Columns:
        """Return the chain's next state: every decision in turn may move.

        A decision draws a choice from its own probabilities. `exact` accepts it always (the
        proposal's probability cancels the target's), `sharpened` with `min(1, p(new) / p(old))`.
        Either refuses what the filter does, so that the product of the rows, or of their squares,
        restricted to the allowed states is stationary.

        Args:
            columns: The present state, which must be allowed.
            rng: Two numbers are drawn for each decision.
            sampler: Which acceptance.
            allowed: The filter, a hard constraint.
        """
        shares = self.probabilities()
        last = np.isfinite(self.scores).sum(axis=1) - 1
        bounds = np.cumsum(shares, axis=1)
        draws: Any = rng.random((len(columns), 2))
        state = columns.copy()
        for row, (position, chance) in enumerate(draws):
            old = state[row]
            new = min(int(np.searchsorted(bounds[row], position)), int(last[row]))
            if new == old or (
                sampler == "sharpened" and chance * shares[row, old] >= shares[row, new]
            ):
                continue
            state[row] = new
            if not allowed(state):
                state[row] = old
        return state
