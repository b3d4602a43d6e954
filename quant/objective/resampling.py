"""Resampling: a metric of a whole set of images on samples of them, drawn with replacement.

Every network is scored on the same samples, so that two of them can be compared sample by sample.
"""

import time
from collections.abc import Callable

import torch

SAMPLES = 100
_SEED = 2026
_LIMIT_S = 10.0
"""What takes longer has no standard error: a search scores some dozens of networks."""


def resample(
    value_of: Callable[[torch.Tensor], float], count: int, *, limit_s: float = _LIMIT_S
) -> torch.Tensor | None:
    """Return a metric's values on samples of images.

    Args:
        value_of: From the numbers of `count` images, int64, some more than once, to the value.
        count: Images.
        limit_s: Seconds after which it is given up.

    Returns:
        float64 `[SAMPLES]`; None where it takes too long.

    Source: Efron 1979, "Bootstrap Methods: Another Look at the Jackknife".
    """
    generator = torch.Generator().manual_seed(_SEED)
    started, values = time.monotonic(), []
    for _ in range(SAMPLES):
        if time.monotonic() - started > limit_s:
            return None
        values.append(value_of(torch.randint(count, (count,), generator=generator)))
    return torch.tensor(values, dtype=torch.float64)
