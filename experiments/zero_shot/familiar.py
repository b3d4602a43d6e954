"""Familiar: what the shipped policy practised on and the prior was fitted to, and how far that is.

Numbers of `familiar.json` are those of `python -m tools.describe_familiar`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from env.decisions.costs import cost_table
from env.decisions.decisions import DecisionSpace
from env.responses.columns import Floats
from hardware.layers.table import LayerTable
from quant.layers import INPUT_BITS, MIN_BITS
from quant.records.json_form import EXACT, from_plain

FILE = Path(__file__).with_name("familiar.json")
_PRODUCTS = "products of two tensors"
"""As of attention, of which no network had any that was practised on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """One property of the networks that were practised on."""

    mean: float
    deviation: float
    least: float
    most: float

    __pydantic_config__ = EXACT


@dataclass(frozen=True, kw_only=True, slots=True)
class TypicalRises:
    """What sensitivities were of networks that were retrained: a line through their logarithms."""

    intercept: float
    """At 2 bits."""
    per_bit: float
    facts: tuple[float, ...]
    """Of each of `env.responses.layer_facts.FACTS`."""
    deviation: float
    """Of what the line leaves."""
    networks: int

    __pydantic_config__ = EXACT

    def logs(self, bits: Floats, facts: Floats) -> Floats:
        """Return logarithms of the rises, `[columns]`; facts are `[columns, len(FACTS)]`."""
        found: Floats = self.intercept + self.per_bit * (bits - MIN_BITS) + facts @ self.facts
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Familiar:
    """What is known."""

    drawn: int
    """Networks that stand for those that were practised on."""
    properties: Mapping[str, Range]
    rises: TypicalRises

    __pydantic_config__ = EXACT


@dataclass(frozen=True, kw_only=True, slots=True)
class Distance:
    """How far a network is from those that were practised on."""

    deviations: float
    """Of the property that is furthest from the mean, in standard deviations."""
    furthest: str
    outside: tuple[str, ...]
    """Properties beyond all that were practised on; the answer is a guess in these."""


@cache
def familiar() -> Familiar:
    """Return what is known."""
    return from_plain(Familiar, json.loads(FILE.read_text(encoding="utf-8")))


def distance_to_familiar(space: DecisionSpace, table: LayerTable) -> Distance:
    """Return how far a network is from what the policy knows."""
    known = familiar().properties
    found = properties_of(space, table)
    far = {
        name: abs(found[name] - each.mean) / max(each.deviation, 1e-9)
        for name, each in known.items()
    }
    furthest = max(far, key=far.__getitem__)
    outside = [name for name, each in known.items() if not each.least <= found[name] <= each.most]
    if not all(layer.has_weights for layer in space.layers):
        outside.append(_PRODUCTS)
    return Distance(deviations=far[furthest], furthest=furthest, outside=tuple(outside))


def properties_of(space: DecisionSpace, table: LayerTable) -> dict[str, float]:
    """Return what networks are compared by."""
    layers = space.layers
    macs = np.log([max(1, layer.macs) for layer in layers])
    parameters = np.log([max(1, layer.parameters) for layer in layers if layer.has_weights])
    costs = cost_table(space, table).pairs
    # Shares of what all-8 takes: how much there is to be had, whatever the device's unit is.
    full = np.array([costs[layer.name][INPUT_BITS, INPUT_BITS] for layer in layers], np.float64)
    least = np.array(
        [
            np.min([costs[layer.name][pair] for pair in space.pairs(layer.name)], axis=0)
            for layer in layers
        ],
        np.float64,
    )
    time, size = least.sum(0)[:2] / np.maximum(full.sum(0)[:2], 1.0)
    shares = full[:, 0] / max(full[:, 0].sum(), 1.0)
    return {
        "decisions (log)": math.log(len(space.decisions)),
        "depthwise layers (share)": float(np.mean([layer.is_depthwise for layer in layers])),
        "linear layers (share)": float(np.mean([layer.kind == "linear" for layer in layers])),
        "spread of multiplications (log)": float(macs.std()),
        "spread of parameters (log)": float(parameters.std()),
        "largest layer (share of time)": float(shares.max()),
        "cheapest (share of all-8's time)": float(time),
        "smallest (share of all-8's bytes)": float(size),
        "widths": float(len(space.widths)),
    }
