"""What a network returns, of the tensors that a run of it left."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from hardware.runtime.returned import as_returned
from quant.deploy_graph import DeployGraph


def output_tensors(
    graph: DeployGraph, first: npt.NDArray[Any], value: Callable[[str], npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors that the network returns, by name.

    Args:
        graph: The converted network, or a part of one, which has one output.
        first: What the run returned.
        value: Gives another tensor that the graph keeps.
    """
    names = dict.fromkeys(output.tensor for output in graph.returned)
    return {graph.output: first} | {n: value(n) for n in names if n != graph.output}


def returned_parts(
    graph: DeployGraph, tensors: Mapping[str, npt.NDArray[Any]]
) -> list[npt.NDArray[Any]]:
    """Return each output as the user's network returns it; of a part of a network, its tensor."""
    if not graph.returned:
        return [tensors[graph.output]]
    return [
        as_returned(tensors[output.tensor], output.shape, channels_last=output.channels_last)
        for output in graph.returned
    ]
