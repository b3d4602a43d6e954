"""A network's outputs in ONNX: named and shaped as its forward pass returns them."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from quant.deploy_graph import DeployOutput


def inner_name(name: str, outputs: Collection[str]) -> str:
    """Return what a value inside is called, which must not have an output's name."""
    return f"{name}/inside" if name in outputs else name


def set_apart(outputs: Collection[str], nodes: Iterable[Any], constants: Iterable[Any]) -> None:
    """Rename, in place, values inside that are called as outputs are."""
    for value in constants:
        value.name = inner_name(value.name, outputs)
    for node in nodes:
        node.name = inner_name(node.name, outputs)
        for names in (node.input, node.output):
            names[:] = [inner_name(name, outputs) for name in names]


def write_output(
    output: DeployOutput,
    outputs: Collection[str],
    write_node: Callable[..., None],
    write_constant: Callable[[str, npt.NDArray[Any]], str],
) -> None:
    """Write what brings a tensor into an output's shape, under its name.

    Args:
        output: The output; its tensor is channels-first here, but where an island made it.
        outputs: Names of all.
        write_node: Writes an operator: `(kind, inputs, output)`.
        write_constant: Writes a constant and returns its name.
    """
    shape = np.array([0, *output.shape], np.int64)  # 0: the batch as it is
    shape_name = write_constant(f"{output.name}/shape", shape)
    source = inner_name(output.tensor, outputs)
    if output.rows:
        write_node("Transpose", [source], f"{output.name}/rows", perm=[0, 2, 3, 1])
        source = f"{output.name}/rows"
    write_node("Reshape", [source, shape_name], output.name)
