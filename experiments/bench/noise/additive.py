"""AdditiveModel: an allocation's figure as a sum of one effect for each decision's bits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.bench.noise.bootstrap import Floats
from quant.layers import MIN_BITS

_RIDGES = np.geomspace(1e-3, 1e3, 49)
"""From almost least squares to almost the mean, for columns between 0 and 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdditiveModel:
    """How well a sum of effects tells the figures of allocations that it has not seen."""

    ridge: float
    """Penalty on the squares of the effects, of those tried the best by the same leave-one-out."""
    r2: float | None
    """Share of the variance that is explained, each allocation left out in turn; None where there
    is no variance. Below 0: worse than the mean of the others."""
    r2_beyond_noise: float | None
    """Share of the variance that is not noise; None where noise is all there is. Above 1 by
    chance alone."""
    error: float
    """Root mean square of figure less prediction, each left out in turn."""
    predictions: tuple[float, ...]
    """Of each allocation, by the others."""


def width_columns(choices: NDArray[np.int64]) -> Floats:
    """Return 0 or 1 for each bit-width of each decision: nothing is assumed but the sum.

    Args:
        choices: int64 `[allocations, decisions]`, bit-widths.

    Returns:
        float64 `[allocations, decisions * widths]`.
    """
    columns: Floats = (choices[:, :, None] == np.unique(choices)).astype(np.float64)
    return columns.reshape(len(choices), -1)


def noise_power_columns(choices: NDArray[np.int64]) -> Floats:
    """Return the power of each decision's quantization noise, 1 at two bits and a quarter a bit on.

    The expected loss follows it where noise is small and that of different tensors independent.

    Source: Bennett 1948, "Spectra of Quantized Signals": power proportional to the step's square.

    Args:
        choices: int64 `[allocations, decisions]`, bit-widths.

    Returns:
        float64 `[allocations, decisions]`.
    """
    powers: Floats = np.exp2(2.0 * (MIN_BITS - choices))
    return powers


def fit_additive(columns: Floats, values: Floats, noise_variance: float) -> AdditiveModel:
    """Fit ridge regression with a constant that is not penalised.

    What is left of an allocation where it is left out follows from the fit to all: its residual
    over one less its leverage.

    Source: Allen 1974, "The Relationship between Variable Selection and Data Augmentation and a
    Method for Prediction" (PRESS); Golub, Heath and Wahba 1979, "Generalized Cross-Validation".

    Args:
        columns: float64 `[allocations, columns]`.
        values: float64 `[allocations]`.
        noise_variance: Of the values; what another measurement of the same allocations would not
            repeat.
    """
    left_out = _left_out(columns - columns.mean(0), values)
    ridge = min(left_out, key=lambda ridge: _mean_square(left_out[ridge]))
    count, deviations = len(values), values - values.mean()
    from_the_mean = _mean_square(deviations * count / (count - 1))
    varies = bool(values.max() > values.min())
    r2 = 1 - _mean_square(left_out[ridge]) / from_the_mean if varies else None
    variance = float(deviations @ deviations) / (count - 1)
    signal = variance - noise_variance
    return AdditiveModel(
        ridge=ridge,
        r2=r2,
        r2_beyond_noise=r2 * variance / signal if r2 is not None and signal > 0 else None,
        error=_mean_square(left_out[ridge]) ** 0.5,
        predictions=tuple((values - left_out[ridge]).tolist()),
    )


def _left_out(columns: Floats, values: Floats) -> dict[float, Floats]:
    """Return for each ridge each value less what the others predict for it."""
    squares, directions = np.linalg.eigh(columns @ columns.T)
    squares = np.maximum(squares, 0.0)  # rounding may leave them below
    found = {}
    for ridge in _RIDGES.tolist():
        hat = 1 / len(values) + (directions * (squares / (squares + ridge))) @ directions.T
        found[ridge] = (values - hat @ values) / (1 - np.diag(hat))
    return found


def _mean_square(values: Floats) -> float:
    return float((values**2).mean())
