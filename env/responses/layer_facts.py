"""Layer facts: what a decision's layers are, as a few numbers that compare across networks."""

import math
from collections.abc import Sequence

from env.decisions.decisions import Decision, DecisionSpace

FACTS = ("log_macs", "log_parameters", "is_depthwise", "position", "is_activation")
"""What each number is. Logarithms are less their mean over the network's layers."""


def layer_facts(space: DecisionSpace, decisions: Sequence[Decision]) -> list[tuple[float, ...]]:
    """Return each decision's facts, in the order of `FACTS`; of several layers their mean."""
    order = {layer.name: place for place, layer in enumerate(space.layers)}
    macs, parameters = (
        [math.log(max(1, getattr(layer, name))) for layer in space.layers]
        for name in ("macs", "parameters")
    )
    mean_macs, mean_parameters = _mean(macs), _mean(parameters)

    def facts(decision: Decision) -> tuple[float, ...]:
        places = [order[name] for name in space.layers_of(decision)]
        kinds = [part.kind for part in decision.parts]
        return (
            _mean([macs[place] for place in places]) - mean_macs,
            _mean([parameters[place] for place in places]) - mean_parameters,
            _mean([space.layers[place].is_depthwise for place in places]),
            _mean(places) / max(1, len(order) - 1) - 0.5,
            kinds.count("activation") / len(kinds) - 0.5,
        )

    return [facts(decision) for decision in decisions]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
