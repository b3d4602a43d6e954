"""Bootstrap: how far a statistic moves when what it is taken of is drawn again."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_DRAWS = 1000


def bootstrap(values: Floats, statistic: Callable[[Floats], Floats], *, seed: int = 0) -> Floats:
    """Return a statistic of 1,000 samples drawn with replacement, `[1000, ...]`.

    Source: Efron 1979, "Bootstrap Methods: Another Look at the Jackknife".

    Args:
        values: float64 `[N, ...]`; each sample is N of these rows.
        statistic: Takes a sample.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    count = len(values)
    return np.stack([statistic(values[rng.integers(0, count, count)]) for _ in range(_DRAWS)])
