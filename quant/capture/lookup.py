"""Lookups: functions of one value at its own place, computed on codes through a table.

A hard-swish, SiLU or sigmoid, and any chain of such functions that nothing else reads in between,
is one table of 256 entries (docs/integers.md, "Between layers").
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn

from quant.capture.exported import operator_name
from quant.deploy_graph import TABLE_SIZE

LOOKUP_BITS = 8
"""Bits of a tensor that a lookup or a product of matrices reads and no layer does."""

_FUNCTIONS = frozenset(
    (
        *("abs", "add", "celu", "clamp", "clamp_max", "clamp_min", "cos"),
        *("div", "elu", "erf", "exp", "gelu", "hardshrink", "hardsigmoid"),
        *("hardswish", "hardtanh", "leaky_relu", "log_sigmoid", "mish", "mul", "neg"),
        *("pow", "relu", "relu6", "rsub", "selu", "sigmoid", "silu"),
        *("sin", "softplus", "softshrink", "sub", "tanh", "threshold"),
    )
)
"""ATen's functions of one value that every real number has; logarithms and roots are not."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CapturedLookup:
    """One lookup of the captured network."""

    name: str
    """Of its node."""
    operators: tuple[str, ...]
    """PyTorch's names, in execution order."""
    module: nn.Module
    """Takes the node's input, any float tensor, and returns its output, of the same shape."""


def is_pointwise(node: fx.Node, is_number: Callable[[fx.Node], bool]) -> bool:
    """Whether an exported operator computes each value from the one at its own place alone.

    Args:
        node: The operator; one of its arguments is a tensor that is computed.
        is_number: Whether another node is a constant of one value.
    """
    function = operator_name(node)
    if function not in _FUNCTIONS:
        return False
    if function == "pow" and not _is_positive_integer(node.args[1]):
        return False  # fractional powers have no value below zero
    computed = [source for source in node.all_input_nodes if not is_number(source)]
    if len(computed) != 1 or (function == "div" and node.args[0] is not computed[0]):
        return False
    value, result = computed[0].meta.get("val"), node.meta.get("val")
    if not isinstance(value, torch.Tensor) or not isinstance(result, torch.Tensor):
        return False
    return value.shape == result.shape and value.dtype == result.dtype


@torch.no_grad()
def table_values(
    module: nn.Module, step: float, zero_point: int, levels: int
) -> npt.NDArray[np.float64]:
    """Return what a lookup's module makes of every code, in float64: `[256]`.

    Args:
        module: Of a `CapturedLookup`.
        step: Of the tensor that it reads.
        zero_point: Of that tensor.
        levels: The largest code of that tensor; entries beyond it repeat the last one.
    """
    codes = torch.arange(TABLE_SIZE, dtype=torch.float64).clamp_(max=levels)
    values = module(((codes - zero_point) * step).reshape(-1, 1, 1, 1))
    result: npt.NDArray[np.float64] = values.reshape(-1).numpy()
    return result


def _is_positive_integer(value: object) -> bool:
    return isinstance(value, int | float) and value >= 1 and float(value).is_integer()
