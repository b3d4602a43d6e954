"""The check before every timing: a fast wrong kernel must never earn a reward."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.graph.tensor_widths import codes_read
from quant.deploy_graph import DeployGraph, Embedding, QuantizeInput, RunIsland
from quant.integer import run_graph, run_op

_ISLAND_TOLERANCE = 1e-5
"""Largest difference between two float islands' outputs, as a share of their largest magnitude."""
_SEED = 20_260_101
_CODES = 256


def fixed_input(graph: DeployGraph, batch: int) -> npt.NDArray[Any]:
    """Return the same pseudo-random input for the same graph input, covering all its codes.

    A float input is drawn so that its codes spread over 0..255, half a code beyond either end
    included, whatever the network's input scale is; numbers of tokens over all rows of
    their table. An input that is codes already is drawn as codes of the width that its
    readers expect.
    """
    tensor = graph.tensors[graph.input]
    rng = np.random.default_rng(_SEED)
    shape = (batch, *tensor.shape)
    if tensor.dtype != "float32":
        widths = [
            bits
            for op in graph.decided_ops()
            for name, bits in codes_read(op)
            if name == graph.input
        ]
        return rng.integers(0, min((2**bits for bits in widths), default=_CODES), shape).astype(
            tensor.dtype
        )
    codes = rng.uniform(-0.5, _CODES - 0.5, shape)
    for op in graph.ops:
        if isinstance(op, QuantizeInput) and op.input == graph.input:
            codes = (codes - op.zero_point) / op.multiplier
            break
        if isinstance(op, Embedding):
            codes = codes * (len(op.table) / _CODES)
            break
    return codes.astype(np.float32)


def reference_output(graph: DeployGraph, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what docs/integers.md says the network computes, in the output tensor's type."""
    return run_graph(graph, x).astype(graph.tensors[graph.output].dtype)


def describe_difference(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> str:
    """Return one sentence on where two outputs differ, empty where they are equal to the bit."""
    if found.shape != expected.shape:
        return f"wrong result: expected shape {expected.shape}, found {found.shape}"
    wrong = np.argwhere(found != expected)
    if not len(wrong):
        return ""
    place = tuple(int(index) for index in wrong[0])
    return (
        f"wrong result: {len(wrong)} of {expected.size} outputs differ from the integer reference, "
        f"the first at {place}: expected {expected[place]}, found {found[place]}"
    )


def describe_program_difference(
    graph: DeployGraph,
    x: npt.NDArray[Any],
    found: Mapping[str, npt.NDArray[Any]],
    made: Mapping[str, npt.NDArray[Any]],
) -> str:
    """Return one sentence on where a program is wrong, empty where it is right.

    Floats may differ in their last digits, and a code next to a tie may then round the other way.
    So what the program's islands made is put into the reference, where everything else must come
    out equal to the bit, and the islands must agree with it within `_ISLAND_TOLERANCE`.

    Args:
        graph: The converted network.
        x: The input.
        found: The program's outputs, by tensor.
        made: What each island made in the program, by tensor.
    """
    values: dict[str, npt.NDArray[Any]] = {}
    run_graph(graph, x, keep=values, given=made)
    for op in graph.ops:
        if not isinstance(op, RunIsland):
            continue
        should = run_op(op, *(values[name] for name in op.inputs))
        error = float(np.abs(made[op.output] - should).max(initial=0.0))
        if not error <= _ISLAND_TOLERANCE * float(np.abs(should).max(initial=0.0)):
            return f"wrong result: the float island {op.name} is off by {error:.2g}"
    sentences = (
        describe_difference(output, values[name].astype(output.dtype))
        for name, output in found.items()
    )
    return next(filter(None, sentences), "")
