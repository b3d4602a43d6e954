"""HAWQ-V3's integer program for ResNet-18, with optima found by enumerating all 2**16 choices.

The data are the published ones: average Hessian traces, squared quantization errors, parameters,
operations, and latencies measured on a T4. Weights and activations share 4 or 8 bits, and a
down-sampling convolution has those of the convolution beside it.
"""

from typing import Literal

import numpy as np

from agents.solvers.choice_problem import ChoiceProblem, LayerChoices, Picks

Resource = Literal["size", "bops", "latency"]

TRACES = np.array(
    [
        *(0.06857826, 0.03162379, 0.03298575, 0.01205663, 0.02222431, 0.00596336, 0.06931772),
        *(0.00807129, 0.00372905, 0.00530698, 0.00209011, 0.00737569, 0.00210454, 0.00151197),
        *(0.00158041, 0.00078146, 0.00451841, 0.00098745, 0.00072944),
    ]
)
ERRORS_8 = np.array(
    [
        *(0.0235, 0.0125, 0.0102, 0.0082, 0.0145, 0.0344, 0.0023, 0.0287, 0.0148, 0.0333, 0.0682),
        *(0.0027, 0.0448, 0.0336, 0.0576, 0.1130, 0.0102, 0.0947, 0.0532),
    ]
)
ERRORS_4 = np.array(
    [
        *(6.7430, 3.9691, 3.3281, 2.6796, 4.7277, 10.5966, 0.6827, 9.0942, 4.8857, 10.7599),
        *(21.7546, 0.8603, 14.5324, 10.9651, 18.7706, 36.4044, 3.1572, 29.6994, 17.4016),
    ]
)
PARAMETERS = np.array(
    [
        *([36864] * 4 + [73728, 147456, 8192, 147456, 147456, 294912, 589824, 32768]),
        *(589824, 589824, 1179648, 2359296, 131072, 2359296, 2359296),
    ]
)
MEGA_MACS = np.array(
    [
        *([115.605504] * 4 + [57.802752, 115.605504, 6.422528, 115.605504, 115.605504]),
        *([57.802752, 115.605504, 6.422528, 115.605504, 115.605504] * 2),
    ]
)
LATENCY_4 = np.array(
    [
        *(0.21094404, 0.21092674, 0.21104113, 0.21086851, 0.13642465, 0.19167506, 0.02532183),
        *(0.19148203, 0.19142914, 0.11395316, 0.20556011, 0.01917474, 0.20566918, 0.20566509),
        *(0.13185102, 0.22287786, 0.01790088, 0.22304611, 0.22286099),
    ]
)
LATENCY_8 = np.array(
    [
        *(0.36189111, 0.36211718, 0.31141909, 0.30454471, 0.19184896, 0.38948934, 0.0334169),
        *(0.38904905, 0.3892859, 0.19134735, 0.34307431, 0.02802354, 0.34313329, 0.34310756),
        *(0.21117103, 0.37376585, 0.02896843, 0.37398187, 0.37405185),
    ]
)
TIED = {6: 4, 11: 9, 16: 14}
"""The down-sampling convolution of each stage, and the convolution beside it."""

GAINS = TRACES * (ERRORS_4 - ERRORS_8)
"""What 8 bits save each layer."""

OPTIMA: dict[tuple[float, Resource], tuple[str, float, float]] = {
    (0.25, "size"): ("8888888888888844444", 6.64062, 1.189414),
    (0.25, "bops"): ("8884848444444444444", 45.7605, 0.847289),
    (0.25, "latency"): ("8884848444444444444", 3.61471, 0.847289),
    (0.5, "size"): ("8888888888888884844", 7.26562, 1.233207),
    (0.5, "bops"): ("8884888848884444444", 65.0281, 1.092024),
    (0.5, "latency"): ("8888848848884484844", 4.2201, 1.105039),
    (0.75, "size"): ("8888888888888488884", 9.23438, 1.274273),
    (0.75, "bops"): ("8888888848888484884", 84.2957, 1.227748),
    (0.75, "latency"): ("8888888848888484884", 4.70631, 1.227748),
}
"""`{(limit, resource): (bits of layer 0 to 18, used, gain)}`; the limit is the share of the way
from all-4 to all-8."""

_UNIT = 1e-9
"""Costs are counted in billionths of a megabyte, giga bit operation or millisecond."""


def resource_costs(resource: Resource) -> tuple[np.ndarray, np.ndarray]:
    """Return the costs of all layers at 4 and at 8 bits, float64 `[19]` each."""
    if resource == "latency":
        return LATENCY_4, LATENCY_8
    if resource == "size":
        return PARAMETERS * 4 / 8 / 2**20, PARAMETERS * 8 / 8 / 2**20
    return MEGA_MACS * 16 / 1024, MEGA_MACS * 64 / 1024


def instance(limit: float, resource: Resource) -> ChoiceProblem:
    """Return the program; a layer's loss is what 4 bits lose against 8."""
    low, high = resource_costs(resource)
    allowed = low.sum() + limit * (high.sum() - low.sum())
    return ChoiceProblem(
        layers=tuple(
            LayerChoices(
                layer=f"l{k}",
                steps=(2 * k, 2 * TIED.get(k, k) + 1),
                pairs=((4, 4), (8, 8)),
                losses=np.array([GAINS[k], 0.0]),
                costs=np.array([[round(low[k] / _UNIT)], [round(high[k] / _UNIT)]]),
            )
            for k in range(len(TRACES))
        ),
        limits=np.array([int(allowed / _UNIT)]),
    )


def bits(problem: ChoiceProblem, picks: Picks) -> str:
    """Return the bits of all layers as digits."""
    return "".join(str(layer.pairs[p][0]) for layer, p in zip(problem.layers, picks, strict=True))


def used(problem: ChoiceProblem, picks: Picks) -> float:
    """Return what the picks cost, in the resource's own unit."""
    return float(problem.cost(picks)[0]) * _UNIT


def gain(problem: ChoiceProblem, picks: Picks) -> float:
    """Return what the 8-bit layers save."""
    return float(GAINS.sum()) - problem.loss(picks)
