"""The convex program of QBitOpt: real-valued bits of least quantization noise inside a budget.

`min_b sum_i w_i f(b_i)  s.t.  sum_i n_ri b_i <= limit_r for every resource r,  low <= b <= high`

with the noise model f(b) = 2^-2b or (2^b - 1)^-2. For one multiplier per resource every b_i is a
formula of its own price, and the smallest multiplier that meets a limit is a root; the roots are
found one resource after the other until no bit moves (coordinate ascent of the concave dual).
Source: Peters et al. 2023, "QBitOpt" (arXiv 2307.04535), for the problem; its text gives no
solver, so this one is ours. With one resource, f = 2^-2b and no bounds the answer is reverse
water-filling, as the test has it.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

NoiseModel = Literal["power", "levels"]
"""`power`: 2^-2b, noise falls fourfold with each bit. `levels`: (2^b - 1)^-2, the squared step of
2^b levels in a fixed range."""

Vector = npt.NDArray[np.float64]

_LARGEST_EXPONENT = 400.0
"""Multipliers are looked for between 2^-400 and 2^400; float64 holds them and their products."""
_ROUNDS = 200
"""Most passes over all resources; one is enough for one resource."""
_SETTLED = 1e-7
"""Bits that move by less between two passes are the answer."""
_THREE_ROOTS = 4.0 / 27.0
"""Below this ratio of price and weight the cubic of the model `levels` has three real roots."""


def noise(bits: Vector, model: NoiseModel) -> Vector:
    """Return f(bits), the noise power in units of the model, elementwise."""
    return np.exp2(-2.0 * bits) if model == "power" else (np.exp2(bits) - 1.0) ** -2.0


def solve_bits(
    weights: Vector,
    costs: Vector,
    limits: Vector,
    *,
    low: Vector | float,
    high: Vector | float,
    model: NoiseModel,
) -> Vector:
    """Return the bits, float64 `[tensors]`.

    Args:
        weights: w, the loss for each unit of noise, `[tensors]`, above 0.
        costs: n, what one bit of each tensor costs, `[tensors, resources]`, 0 or more.
        limits: `[resources]`, on the sums of costs times bits.
        low: Fewest bits, one or `[tensors]`, above 0 for the model `levels`. A limit that even
            these do not meet gives every tensor that pays for it these.
        high: Most bits, one or `[tensors]`.
        model: f.
    """
    resources = costs.shape[1]
    exponents = np.full(resources, -np.inf)  # multipliers as powers of two; at first they are 0

    def bits_at(logs: Vector) -> Vector:
        return _best_bits(weights, costs @ np.exp2(logs), low, high, model)

    before = bits_at(exponents)
    for _ in range(_ROUNDS):
        for resource in range(resources):
            exponents[resource] = _smallest(resource, exponents, bits_at, costs, limits)
        bits = bits_at(exponents)
        if resources <= 1 or float(np.abs(bits - before).max(initial=0.0)) < _SETTLED:
            return bits
        before = bits
    return before


def _smallest(
    resource: int,
    exponents: Vector,
    bits_at: Callable[[Vector], Vector],
    costs: Vector,
    limits: Vector,
) -> float:
    """Return the smallest multiplier (as a power of two) that meets one limit, the others fixed."""

    def excess(exponent: float) -> float:
        logs = exponents.copy()
        logs[resource] = exponent
        return float(costs[:, resource] @ bits_at(logs) - limits[resource])

    if excess(-math.inf) <= 0:
        return -math.inf
    if excess(_LARGEST_EXPONENT) > 0:
        return _LARGEST_EXPONENT
    return float(brentq(excess, -_LARGEST_EXPONENT, _LARGEST_EXPONENT, xtol=1e-12))


def _best_bits(
    weights: Vector, prices: Vector, low: Vector | float, high: Vector | float, model: NoiseModel
) -> Vector:
    """Return what minimises `w f(b) + price b` for each tensor, within the bounds."""
    slope = 2.0 * math.log(2.0)
    with np.errstate(divide="ignore"):
        log_ratio = np.log2(slope * weights) - np.log2(prices)  # infinite where bits are free
    bits = log_ratio / 2.0 if model == "power" else np.log2(1.0 + _levels(np.exp2(-log_ratio)))
    clipped: Vector = np.clip(bits, low, high)
    return clipped


def _levels(ratio: Vector) -> Vector:
    """Return the y > 0 at which `ratio y^3 = y + 1`, where y = 2^b - 1; infinite for ratio 0.

    Cardano's formula where the cubic has one real root, the cosine of a third where it has three.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        few = np.cos(np.arccos(np.minimum(1.5 * np.sqrt(3.0 * ratio), 1.0)) / 3.0)
        few *= 2.0 / np.sqrt(3.0 * ratio)
        share = _THREE_ROOTS / ratio
        root = np.sqrt(np.maximum(1.0 - share, 0.0))
        # 1 - root, without the cancellation where the root is near 1.
        many = np.cbrt((1.0 + root) / (2.0 * ratio)) + np.cbrt(share / (1.0 + root) / (2.0 * ratio))
    return np.where(ratio > _THREE_ROOTS, many, few)
