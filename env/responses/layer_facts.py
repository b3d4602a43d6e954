"""Layer facts: what a decision's layers are, as a few numbers that compare across networks."""

import math
from collections.abc import Mapping, Sequence

from env.decisions.decisions import Decision, DecisionSpace

FACTS = ("log_macs", "log_parameters", "is_depthwise", "position", "is_activation")
"""What each number is. Logarithms are less their mean over the network's layers."""


def layer_facts(space: DecisionSpace, decisions: Sequence[Decision]) -> list[tuple[float, ...]]:
    """Return each decision's facts, in the order of `FACTS`; of several layers their mean.

    Products of two tensors have no parameters; they count as layers with as many as the others.
    """
    order = {layer.name: place for place, layer in enumerate(space.layers)}
    macs = _relative({layer.name: layer.macs for layer in space.layers})
    parameters = _relative(
        {layer.name: layer.parameters for layer in space.layers if layer.has_weights}
    )

    def facts(decision: Decision) -> tuple[float, ...]:
        names = space.layers_of(decision)
        kinds = ["activation" if part.is_tensor else "weight" for part in decision.parts]
        return (
            _mean([macs[name] for name in names]),
            _mean([parameters.get(name, 0.0) for name in names]),
            _mean([space.layers[order[name]].is_depthwise for name in names]),
            _mean([order[name] for name in names]) / max(1, len(order) - 1) - 0.5,
            kinds.count("activation") / len(kinds) - 0.5,
        )

    return [facts(decision) for decision in decisions]


def _relative(counts: Mapping[str, int]) -> dict[str, float]:
    """Return logarithms less their mean."""
    logs = {name: math.log(max(1, count)) for name, count in counts.items()}
    mean = _mean(list(logs.values()))
    return {name: value - mean for name, value in logs.items()}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
