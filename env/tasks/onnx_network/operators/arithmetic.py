"""Operators of one value and one other, at each place; and reductions."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch

from env.tasks.onnx_network.builder import Builder
from env.tasks.onnx_network.node import OnnxNode
from env.tasks.onnx_network.operators.activations import clip_between
from env.tasks.onnx_network.operators.layers import absorb
from env.tasks.onnx_network.value import Value

Function = Callable[..., Any]

UNARY: dict[str, Function] = {
    name: getattr(torch, name.lower())
    for name in (
        *("Abs", "Neg", "Exp", "Log", "Sqrt", "Reciprocal", "Erf", "Floor", "Ceil", "Round"),
        *("Sign", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh"),
        *("Asinh", "Acosh", "Atanh"),
    )
} | {"Not": torch.logical_not, "IsNaN": torch.isnan}
"""ONNX's functions of one value by their names."""


def _divide(first: Any, second: Any) -> Any:
    whole = isinstance(first, int) or not torch.is_floating_point(first)
    return torch.div(first, second, rounding_mode="trunc" if whole else None)


BINARY: dict[str, Function] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": _divide,
    "Pow": torch.pow,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "And": torch.logical_and,
    "Or": torch.logical_or,
    "Xor": torch.logical_xor,
}
"""ONNX's functions of two values."""
MANY: dict[str, Function] = {
    "Sum": torch.add,
    "Mean": torch.add,
    "Min": torch.minimum,
    "Max": torch.maximum,
}
"""ONNX's functions of any number of values, as what joins two of them."""
REDUCTIONS: dict[str, Function] = {}
"""ONNX's reductions; each takes a tensor, its dimensions, and whether they stay as 1."""


def unary(builder: Builder, node: OnnxNode) -> None:
    """One of `UNARY`."""
    builder.call(node, UNARY[node.kind], [builder.value(node, 0)])


def binary(builder: Builder, node: OnnxNode) -> None:
    """One of `BINARY`; a constant of each channel after a layer becomes a part of that."""
    first, second = builder.inputs(node)
    if _absorbed(builder, node, first, second):
        return
    if first.computed and _is_number(second, first):
        other = second.probes[0].item()
        builder.call(node, _with_number, [first], kind=node.kind, number=other)
    elif second.computed and _is_number(first, second):
        other = first.probes[0].item()
        builder.call(node, _of_number, [second], kind=node.kind, number=other)
    else:
        builder.call(node, BINARY[node.kind], [first, second])


def many(builder: Builder, node: OnnxNode) -> None:
    """Sum, Mean, Min and Max; with 0 and a number, the last two are clips."""
    values = builder.inputs(node)
    if node.kind in ("Min", "Max") and len(values) == 2:
        numbers = [v for v in values if not v.computed and v.fixed and v.probes[0].numel() == 1]
        if len(numbers) == 1:
            bound = numbers[0].probes[0].item()
            low, high = (bound, None) if node.kind == "Max" else (None, bound)
            value = values[0] if numbers[0] is values[1] else values[1]
            clip_between(builder, node, value, low, high)
            return
    if len(values) == 1:
        builder.forward_name(node, values[0])
    else:
        builder.call(node, _many, values, kind=node.kind)


def modulo(builder: Builder, node: OnnxNode) -> None:
    """Mod, with the sign of the divisor, or of the dividend where `fmod` is set."""
    function = torch.fmod if node.get("fmod", 0) else torch.remainder
    builder.call(node, function, builder.inputs(node))


def where(builder: Builder, node: OnnxNode) -> None:
    """Where."""
    builder.call(node, torch.where, builder.inputs(node))


def reduction(builder: Builder, node: OnnxNode) -> None:
    """One of `REDUCTIONS`, over dimensions that are an attribute or an input."""
    value = builder.value(node, 0)
    axes = builder.numbers(node, 1, "axes")
    if not axes and node.get("noop_with_empty_axes", 0):
        builder.forward_name(node, value)
        return
    dims = sorted(axis % value.ndim for axis in axes) if axes else list(range(value.ndim))
    if value.computed and any(value.sizes[axis].times for axis in dims):
        raise node.refused(
            "reduces over the batch, so that an answer would depend on the images beside it",
            "name the dimensions of one image: axes=[1] and on",
        )
    builder.call(
        node, REDUCTIONS[node.kind], [value], dims=dims, keep=bool(node.get("keepdims", 1))
    )


def extreme_place(builder: Builder, node: OnnxNode) -> None:
    """ArgMax and ArgMin: the first place of the extreme."""
    value = builder.value(node, 0)
    if node.get("select_last_index", 0):
        raise node.refused("asks for the last of several places", "leave select_last_index off")
    builder.call(
        node,
        torch.argmax if node.kind == "ArgMax" else torch.argmin,
        [value],
        dim=int(node.get("axis", 0)) % value.ndim,
        keepdim=bool(node.get("keepdims", 1)),
    )


def einsum(builder: Builder, node: OnnxNode) -> None:
    """Einsum of what the network computes."""
    values = builder.inputs(node)
    if not any(value.computed for value in values):
        raise node.refused("multiplies constants", "fold them before, with onnxsim")
    builder.call(node, _einsum, values, equation=node.get("equation"))


def _absorbed(builder: Builder, node: OnnxNode, first: Value, second: Value) -> bool:
    value, other = (first, second) if first.computed else (second, first)
    if not other.fixed or not other.dtype.is_floating_point:
        return False
    number = other.probes[0]
    if node.kind == "Add":
        return absorb(builder, node, value, None, number)
    if node.kind == "Mul":
        return absorb(builder, node, value, number, None)
    if node.kind == "Sub" and value is first:
        return absorb(builder, node, value, None, -number)
    return node.kind == "Div" and value is first and absorb(builder, node, value, 1 / number, None)


def _is_number(value: Value, other: Value) -> bool:
    """Whether a value is one number that leaves the other's shape as it is."""
    alike = value.dtype.is_floating_point == other.dtype.is_floating_point
    return value.fixed and value.probes[0].numel() == 1 and value.ndim <= other.ndim and alike


def _with_number(x: torch.Tensor, *, kind: str, number: float) -> torch.Tensor:
    made: torch.Tensor = BINARY[kind](x, number)
    return made


def _of_number(x: torch.Tensor, *, kind: str, number: float) -> torch.Tensor:
    if kind in ("Add", "Mul"):  # which make one table of a chain of such functions
        return _with_number(x, kind=kind, number=number)
    if kind == "Sub":
        return number - x
    made: torch.Tensor = BINARY[kind](torch.as_tensor(number, dtype=x.dtype), x)
    return made


def _many(*values: torch.Tensor, kind: str) -> torch.Tensor:
    total: torch.Tensor = reduce(MANY[kind], values)
    return total / len(values) if kind == "Mean" else total


def _einsum(*values: torch.Tensor, equation: str) -> torch.Tensor:
    return torch.einsum(equation, *values)


def _mean(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return x.mean(dims, keepdim=keep)


def _sum(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return x.sum(dims, keepdim=keep)


def _max(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return x.amax(dims, keepdim=keep)


def _min(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return x.amin(dims, keepdim=keep)


def _product(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    for dim in reversed(dims):
        x = x.prod(dim, keepdim=keep)
    return x


def _size_1(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return x.abs().sum(dims, keepdim=keep)


def _size_2(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return (x * x).sum(dims, keepdim=keep).sqrt()


def _squares(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return (x * x).sum(dims, keepdim=keep)


def _log_sum(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return x.sum(dims, keepdim=keep).log()


def _log_sum_exp(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return x.logsumexp(dims, keepdim=keep)


REDUCTIONS |= {
    "ReduceMean": _mean,
    "ReduceSum": _sum,
    "ReduceMax": _max,
    "ReduceMin": _min,
    "ReduceProd": _product,
    "ReduceL1": _size_1,
    "ReduceL2": _size_2,
    "ReduceSumSquare": _squares,
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": _log_sum_exp,
}
