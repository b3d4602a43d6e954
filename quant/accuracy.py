"""Accuracy on integer codes: the converted network computed in torch, equal to the reference."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from quant.deploy_graph import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    DeployGraph,
    DeployOp,
    Dequantize,
    Epilogue,
    Flatten,
    FloatCall,
    Linear,
    MaxPool2d,
    Pad2d,
    QuantizeInput,
    Requantize,
    RunIsland,
)
from quant.node_values import as_images

__all__ = ["Accuracy", "integer_accuracy", "integer_logits", "score_logits"]

EXACT_FLOAT32 = 2**24
"""Float32 sums of integers are exact while every partial sum stays below this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Accuracy:
    """Top-1 on a set of images."""

    correct: int
    count: int
    loss: float
    """Mean cross-entropy."""

    @property
    def value(self) -> float:
        """Share of correct images, 0..1."""
        return self.correct / self.count

    @property
    def standard_error(self) -> float:
        """Binomial standard error, with half an image added so that it is never zero."""
        share = (self.correct + 0.5) / (self.count + 1)
        return float((share * (1 - share) / self.count) ** 0.5)


def score_logits(logits: torch.Tensor, labels: torch.Tensor) -> Accuracy:
    """Return the accuracy of logits `[N, classes]` against labels int64 `[N]`."""
    logits = logits.detach()
    return Accuracy(
        correct=int((logits.argmax(1) == labels).sum()),
        count=len(labels),
        loss=float(functional.cross_entropy(logits, labels)),
    )


def integer_accuracy(
    graph: DeployGraph, images: torch.Tensor, labels: torch.Tensor, *, batch: int = 256
) -> Accuracy:
    """Return top-1 and loss of a converted network.

    Args:
        graph: The converted network.
        images: float32 `[N, C, H, W]`.
        labels: int64 `[N]`.
        batch: Images computed at a time.
    """
    logits = torch.cat([integer_logits(graph, part) for part in images.split(batch)])
    return score_logits(logits, labels)


@torch.no_grad()
def integer_logits(graph: DeployGraph, images: torch.Tensor) -> torch.Tensor:
    """Return logits float32 `[N, classes]`, equal to `quant.integer.run_graph` to the bit.

    Codes are held channels-first in float tensors; convolutions run in float64, or in float32
    where every partial sum is below 2**24, and are exact either way.
    """
    values: dict[str, torch.Tensor] = {graph.input: as_images(images)}
    # NNPACK convolves by transforms (Winograd, FFT) whose float32 sums are not integers.
    with torch.backends.nnpack.flags(enabled=False):
        for op in graph.ops:
            names = (
                op.inputs if isinstance(op, Add | Concat | RunIsland | FloatCall) else (op.input,)
            )
            values[op.output] = _run(op, [values[name] for name in names])
    return values[graph.output]


def _run(op: DeployOp, inputs: list[torch.Tensor]) -> torch.Tensor:
    x = inputs[0]
    if isinstance(op, QuantizeInput):
        return _requantize(x, op.multiplier, op.zero_point, op.clip_min, op.clip_max)
    if isinstance(op, Dequantize):
        return (x - op.zero_point) * op.multiplier
    if isinstance(op, RunIsland):
        made: torch.Tensor = op.module(*inputs)
        return made
    if isinstance(op, Conv2d | Linear):
        return _layer(op, x)
    if isinstance(op, Requantize):
        return _requantize(x, op.multiplier, op.zero_point, op.clip_min, op.clip_max)
    if isinstance(op, Add):
        parts = [(v * m).round() for v, m in zip(inputs, op.multipliers, strict=True)]
        return (parts[0] + parts[1]).clamp_(op.clip_min, op.clip_max)
    if isinstance(op, MaxPool2d):
        return functional.max_pool2d(x, op.kernel, op.stride, op.padding)
    if isinstance(op, Pad2d):
        (above, left), (below, right) = op.before, op.after
        return functional.pad(x, (left, right, above, below), value=op.zero_point)
    if isinstance(op, AvgPool2d):
        total = functional.avg_pool2d(
            x.double(), op.kernel, op.stride, op.padding, divisor_override=1
        )
        return _requantize(total.float(), op.multiplier, op.zero_point, op.clip_min, op.clip_max)
    if isinstance(op, Flatten):
        return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x
    assert isinstance(op, Concat)
    return torch.cat(inputs, dim=1)


def _requantize(
    value: torch.Tensor, multiplier: Any, zero_point: int, low: int, high: int
) -> torch.Tensor:
    # Rounding in float32, clipping shifted by z before adding it: codes stay exact in float32.
    codes: torch.Tensor = (
        (value * multiplier).round_().clamp_(low - zero_point, high - zero_point).add_(zero_point)
    )
    return codes


def _layer(op: Conv2d | Linear, x: torch.Tensor) -> torch.Tensor:
    weight = torch.from_numpy(op.weight)
    rows = weight.abs().to(torch.int64).flatten(1).sum(1)
    largest = max(op.input_zero_point, 2**op.activation_bits - 1 - op.input_zero_point)
    exact = int(rows.max()) * largest < EXACT_FLOAT32
    dtype = torch.float32 if exact else torch.float64
    centred = x.to(dtype) - op.input_zero_point
    if isinstance(op, Linear):
        total = functional.linear(centred, weight.to(dtype))
    else:
        total = functional.conv2d(
            centred,
            weight.permute(0, 3, 1, 2).to(dtype),
            None,
            op.stride,
            op.padding,
            op.dilation,
            op.groups,
        )
    return _epilogue(total, op.epilogue)


def _epilogue(total: torch.Tensor, epilogue: Epilogue) -> torch.Tensor:
    shape = (-1, 1, 1) if total.ndim == 4 else (-1,)
    bias = torch.from_numpy(epilogue.bias.astype(np.float64)).reshape(shape)
    multiplier = torch.from_numpy(np.asarray(epilogue.multiplier)).reshape(shape)
    accumulator = (total.double() + bias).float()
    if epilogue.logits:
        return accumulator * multiplier
    return _requantize(
        accumulator, multiplier, epilogue.zero_point, epilogue.clip_min, epilogue.clip_max
    )
