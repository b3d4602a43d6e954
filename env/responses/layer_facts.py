"""Layer facts: what a decision's layers are, as a few numbers that compare across networks."""

import math

from env.decisions.decisions import Decision, DecisionSpace

FACTS = ("log_macs", "log_parameters", "is_depthwise", "position", "is_activation")
"""What each number is. Logarithms are less their mean over the network's layers."""


def layer_facts(space: DecisionSpace, decision: Decision) -> tuple[float, ...]:
    """Return a decision's facts, in the order of `FACTS`; of several layers their mean.

    Products of two tensors have no parameters; they count as layers with as many as the others.
    """
    names = space.layers_of(decision)
    order = {layer.name: place for place, layer in enumerate(space.layers)}
    layers = {layer.name: layer for layer in space.layers}
    macs = {name: math.log(max(1, layer.macs)) for name, layer in layers.items()}
    parameters = {
        name: math.log(max(1, layer.parameters))
        for name, layer in layers.items()
        if layer.has_weights
    }
    count = len(names)

    def relative(values: dict[str, float]) -> float:
        mean = sum(values.values()) / len(values)
        return sum(values.get(name, mean) for name in names) / count - mean

    kinds = ["activation" if part.is_tensor else "weight" for part in decision.parts]
    return (
        relative(macs),
        relative(parameters),
        sum(layers[name].is_depthwise for name in names) / count,
        sum(order[name] for name in names) / count / max(1, len(order) - 1) - 0.5,
        kinds.count("activation") / len(kinds) - 0.5,
    )
