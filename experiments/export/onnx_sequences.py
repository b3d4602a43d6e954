"""PyTorch's recurrent networks and attention in ONNX's operators.

Source: onnx.ai/onnx/operators, version 21 (GRU, LSTM, RNN: their gates lie in another order);
PyTorch's native_functions.yaml for the names.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.export.onnx_writer import Given, Write, Writer, expect

_GATES = {"GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2), "RNN": (0,)}
"""For each of ONNX's gates, PyTorch's."""


def _recurrent(kind: str, activation: str = "") -> Write:
    """Return what writes a recurrent network, one operator for each of its layers."""

    def write(to: Writer, given: Given) -> list[str]:
        directions = 1 + int(given["bidirectional"])
        states = given["hx"] if isinstance(given["hx"], list | tuple) else [given["hx"]]
        weights = 2 + 2 * int(given["has_biases"])
        layers = int(given["num_layers"])
        expect(not given["train"], "it is in training")
        expect(len(given["params"]) == layers * directions * weights, "its states are projected")
        value = given["input"]
        if given["batch_first"]:
            value = to.emit("Transpose", [value], perm=[1, 0, 2])
        ends: list[list[str]] = []
        for layer in range(layers):
            first = layer * directions
            own = given["params"][first * weights : (first + directions) * weights]
            begins = [_rows(to, state, first, directions) for state in states]
            made = _layer(to, kind, value, own, begins, weights, activation)
            value = to.emit("Transpose", [made[0]], perm=[0, 2, 1, 3])
            value = to.emit("Reshape", [value, to.constant([0, 0, -1])])
            ends.append(made[1:])
        if given["batch_first"]:
            value = to.emit("Transpose", [value], perm=[1, 0, 2])
        return [value, *(to.emit("Concat", list(one), axis=0) for one in zip(*ends, strict=True))]

    return write


def _layer(
    to: Writer,
    kind: str,
    value: Any,
    parameters: Sequence[Any],
    states: Sequence[str],
    weights: int,
    activation: str,
) -> list[str]:
    """Write one layer in all its directions; return all its outputs, and its last states."""
    directions = len(parameters) // weights
    hidden = to.shape(parameters[1])[1]
    order = [gate * hidden + unit for gate in _GATES[kind] for unit in range(hidden)]

    def stacked(place: int) -> str:
        """Return one parameter of all directions, its gates in ONNX's order."""
        rows = to.constant(order)
        parts = [
            to.emit("Gather", [parameters[k * weights + place], rows], axis=0)
            for k in range(directions)
        ]
        parts = [to.emit("Unsqueeze", [part, to.constant([0])]) for part in parts]
        return parts[0] if directions == 1 else to.emit("Concat", parts, axis=0)

    biases = to.emit("Concat", [stacked(2), stacked(3)], axis=1) if weights == 4 else None
    attributes: dict[str, Any] = {
        "hidden_size": hidden,
        "direction": "bidirectional" if directions == 2 else "forward",
    }
    if kind == "GRU":
        attributes["linear_before_reset"] = 1
    if activation:
        attributes["activations"] = [activation] * directions
    return to.emit_several(
        kind,
        [value, stacked(0), stacked(1), biases, None, *states],
        2 + (kind == "LSTM"),
        **attributes,
    )


def _rows(to: Writer, state: Any, first: int, count: int) -> str:
    places = [to.constant([place]) for place in (first, first + count, 0)]
    return to.emit("Slice", [state, *places])


def _attention(to: Writer, given: Given) -> str:
    query, key, mask = given["query"], given["key"], given["attn_mask"]
    expect(not given["dropout_p"], "it drops values")
    expect(not given.get("enable_gqa"), "its heads share keys")
    shape = to.shape(query)
    order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    scale = shape[-1] ** -0.5 if given.get("scale") is None else float(given["scale"])
    scores = to.emit("MatMul", [query, to.emit("Transpose", [key], perm=order)])
    scores = to.emit("Mul", [scores, scale])
    if given["is_causal"]:
        later = np.triu(np.full((shape[-2], to.shape(key)[-2]), -np.inf, np.float32), 1)
        scores = to.emit("Add", [scores, to.constant(later)])
    if mask is not None:
        scores = to.emit("Add", [scores, mask])
    return to.emit("MatMul", [to.emit("Softmax", [scores], axis=-1), given["value"]])


SEQUENCES: dict[str, Write] = {
    "aten.gru.input": _recurrent("GRU"),
    "aten.lstm.input": _recurrent("LSTM"),
    "aten.rnn_relu.input": _recurrent("RNN", "Relu"),
    "aten.rnn_tanh.input": _recurrent("RNN", "Tanh"),
    "aten.scaled_dot_product_attention.default": _attention,
}
"""By PyTorch's name and overload."""
