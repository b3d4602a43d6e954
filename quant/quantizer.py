"""Learned-step quantizers, with a step of its own for each (tensor, bit-width).

Source: Esser et al. 2020, "Learned Step Size Quantization", sections 2.1 and 2.2, for the
gradients of the step and its scaling. Steps are initialised by the smallest mean squared error
over clipping ranges instead of the paper's mean magnitude, because 2-bit weights start better; a
weight's step is then refined by the error of what its layer makes of real inputs.
"""

from typing import Any

import torch
from torch import nn

from quant.capture.graph import LayerParameters
from quant.layers import MAX_BITS, MIN_BITS
from quant.tensors.moving import number

WIDTHS = tuple(range(MIN_BITS, MAX_BITS + 1))
STALE_AFTER_STEPS = 500
"""A width that saw no training for this many steps of the network is initialised from the data
again when it is drawn: by then the weights have moved away from what the step was learned on."""
_NEVER = -(10**9)
_CLIPPING_SHARES = torch.linspace(0.25, 1.0, 26)
"""Clipping ranges tried by the initialisation, as shares of the largest magnitude."""
_STEP_REFINEMENTS = torch.linspace(0.95, 1.25, 31)
"""Steps tried around the best for a channel's weights by themselves, as factors of it. Steps nearly
as good differ by the chance of how their rounding errors add up over inputs that have something in
common, as pixels have their brightness: 31 draws find one where most of that cancels."""
_SMALLEST_STEP = 1e-8
_SHARE_KEPT = 1 / 16
"""Training cannot shrink a step below this share of what the data gave it: a step that jumps to
zero or below would get no gradient to come back."""
_DEAD_CHANNEL_SHARE = 1e-4
"""Channels whose weights are smaller than this share of the layer's largest are quantized as if
they reached it: an exact scale for zeros would push their bias out of int32."""
_DEAD_LAYER = 0.01
"""Largest weight that a layer of zeros is quantized for: a part may begin with its bias alone, and
training may move the rest."""


def weight_limit(bits: int) -> int:
    """Return the largest weight code, `2^(b-1) - 1`; the smallest is its negative."""
    return int(2 ** (bits - 1) - 1)


class _FakeQuantize(torch.autograd.Function):
    """s * clamp(round(x / s), low, high) with LSQ's gradients."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, step: torch.Tensor, low: int, high: int, gain: float
    ) -> torch.Tensor:
        scaled = x / step
        codes = scaled.round().clamp_(low, high)
        ctx.save_for_backward(scaled, codes, step)
        ctx.low, ctx.high, ctx.gain = low, high, gain
        return codes * step

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        scaled, codes, step = ctx.saved_tensors
        inside = scaled.clamp(ctx.low, ctx.high).eq_(scaled)
        passed = inside.mul_(gradient)
        step_gradient = None
        if ctx.needs_input_grad[1]:
            # d/ds of s * q: round(x/s) - x/s inside the range, the clipped code outside.
            step_gradient = _sum_product(gradient, codes, step)
            step_gradient = (step_gradient - _sum_product(passed, scaled, step)) * ctx.gain
        return passed, step_gradient, None, None, None


def _sum_product(a: torch.Tensor, b: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Return the sum of a * b over what shares one step, shaped as `step`."""
    if step.ndim == 0:
        return torch.dot(a.reshape(-1), b.reshape(-1))  # no temporary of the tensor's size
    return (a * b).sum([d for d in range(a.ndim) if step.shape[d] == 1], keepdim=True)


def fake_quantize(
    x: torch.Tensor, step: torch.Tensor, low: int, high: int, *, values: int = 1
) -> torch.Tensor:
    """Quantize and dequantize with straight-through gradients.

    Args:
        x: Any float tensor.
        step: Scalar, or shaped to broadcast over `x` with size 1 in the summed dimensions. It
            receives LSQ's gradient, times `1 / sqrt(values * high)`, where it requires one.
        low: Smallest code.
        high: Largest code.
        values: How many values one step quantizes: weights of a channel, features of an image.
    """
    gain = (max(values, 1) * max(high, 1)) ** -0.5
    result: torch.Tensor = _FakeQuantize.apply(x, step, low, high, gain)  # type: ignore[no-untyped-call]
    return result


class OnHost(nn.Module):
    """A module some of whose buffers stay on the CPU wherever it is moved.

    They decide what is done next, and are read at every step: an accelerator would be waited for.
    """

    on_host: tuple[str, ...] = ()
    """Their names."""

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        kept = {name: self._buffers[name] for name in self.on_host}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._buffers.update(kept)
        return self


class WeightQuantizer(OnHost):
    """Symmetric per-channel steps of one layer's weights: `steps` float32 `[widths, out]`."""

    on_host = ("trained_at",)
    trained_at: torch.Tensor
    floors: torch.Tensor

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.ones(len(WIDTHS), out_channels))
        self.register_buffer("floors", torch.full_like(self.steps.detach(), _SMALLEST_STEP))
        self.register_buffer("trained_at", torch.full((len(WIDTHS),), _NEVER))

    @torch.no_grad()
    def initialise(
        self, weight: torch.Tensor, bits: int, windows: torch.Tensor | None = None
    ) -> None:
        """Set one width's steps to the smallest squared error.

        Args:
            weight: `[out, ...]`.
            bits: The width.
            windows: What outputs are sums of, float32 `[groups, samples, in]` in the order of a
                group's weights. Where they are given, the steps that are best for the weights are
                refined to those that are best for the outputs.
        """
        flat = weight.detach().reshape(weight.shape[0], -1)
        limit = weight_limit(bits)
        largest = flat.abs().amax(1)
        of_layer = number(largest.max())
        least = of_layer * _DEAD_CHANNEL_SHARE if of_layer > _SMALLEST_STEP else _DEAD_LAYER
        largest = largest.clamp_min(max(least, _SMALLEST_STEP))
        best, chosen = torch.full_like(largest, torch.inf), largest / limit
        for share in _CLIPPING_SHARES:
            step = (largest * share / limit)[:, None]
            error = ((flat / step).round().clamp_(-limit, limit) * step - flat).square().sum(1)
            # A tie goes to the wider range, which for a channel of zeros keeps the bias small.
            better = error <= best
            best = torch.where(better, error, best)
            chosen = torch.where(better, step[:, 0], chosen)
        if windows is not None:
            chosen = _refine_steps(flat, chosen, limit, windows)
        self.steps[bits - MIN_BITS] = chosen
        self.floors[bits - MIN_BITS] = chosen * _SHARE_KEPT

    def step(self, bits: int) -> torch.Tensor:
        """Return the steps of one width, float32 `[out]`, positive."""
        return self.steps[bits - MIN_BITS]

    def forward(self, weight: torch.Tensor, bits: int) -> torch.Tensor:
        """Return fake-quantized weights, shaped as `weight` `[out, ...]`."""
        limit = weight_limit(bits)
        step = self.step(bits).reshape(-1, *[1] * (weight.ndim - 1))
        return fake_quantize(weight, step, -limit, limit, values=weight[0].numel())


def _refine_steps(
    weight: torch.Tensor, steps: torch.Tensor, limit: int, windows: torch.Tensor
) -> torch.Tensor:
    """Return the steps near `steps` `[out]` with the smallest squared error of the outputs."""

    def output_errors(step: torch.Tensor) -> torch.Tensor:
        rounded = (weight / step[:, None]).round_().clamp_(-limit, limit) * step[:, None]
        errors = (rounded - weight).reshape(len(windows), -1, weight.shape[1])
        return torch.bmm(windows, errors.transpose(1, 2)).square_().sum(1).flatten()

    best, chosen = output_errors(steps), steps
    for factor in _STEP_REFINEMENTS:
        step = steps * factor
        error = output_errors(step)
        # A tie stays with the step that is best for the weights.
        better = error < best
        best, chosen = torch.where(better, error, best), torch.where(better, step, chosen)
    return chosen


class QuantizedLayer(nn.Module):
    """Float parameters of one layer and the quantizer of its weights."""

    def __init__(self, parameters: LayerParameters) -> None:
        super().__init__()
        self.weight = nn.Parameter(parameters.weight.clone())
        self.bias = nn.Parameter(parameters.bias.clone())
        self.quantizer = WeightQuantizer(parameters.weight.shape[0])


class ActivationQuantizer(OnHost):
    """Unsigned per-tensor steps and zero points of one tensor, `[widths]` each."""

    on_host = ("trained_at", "zero_points")
    trained_at: torch.Tensor
    zero_points: torch.Tensor
    floors: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.ones(len(WIDTHS)))
        self.register_buffer("floors", torch.full_like(self.steps.detach(), _SMALLEST_STEP))
        self.register_buffer("zero_points", torch.zeros(len(WIDTHS), dtype=torch.int64))
        self.register_buffer("trained_at", torch.full((len(WIDTHS),), _NEVER))

    @torch.no_grad()
    def initialise(self, sample: torch.Tensor, bits: int) -> None:
        """Set one width's step and zero point to the smallest squared error for `sample`.

        It is on the CPU, wherever the step is.
        """
        levels = 2**bits - 1
        low, high = min(0.0, float(sample.min())), max(0.0, float(sample.max()))
        if high - low < _SMALLEST_STEP * levels:
            high = 1.0  # always zero in the sample: any range serves, a tiny one overflows biases
        best = torch.inf
        for share in _CLIPPING_SHARES.tolist():
            step = (high - low) * share / levels
            zero_point = round(min(max(-low * share / step, 0.0), levels))
            codes = (sample / step).round().clamp_(-zero_point, levels - zero_point)
            error = float((codes * step - sample).square().mean())
            if error <= best:
                best = error
                self.steps[bits - MIN_BITS] = step
                self.floors[bits - MIN_BITS] = step * _SHARE_KEPT
                self.zero_points[bits - MIN_BITS] = zero_point

    def step(self, bits: int) -> torch.Tensor:
        """Return the step of one width, a float32 scalar, positive."""
        return self.steps[bits - MIN_BITS]

    def zero_point(self, bits: int) -> int:
        """Return the zero point of one width."""
        return int(self.zero_points[bits - MIN_BITS])

    def forward(
        self, x: torch.Tensor, bits: int, *, nonnegative: bool = False, learn: bool = True
    ) -> torch.Tensor:
        """Return the fake-quantized tensor.

        Args:
            x: Float values `[N, ...]`.
            bits: The width.
            nonnegative: Whether the clip of codes does a ReLU.
            learn: Whether the step receives a gradient.
        """
        zero_point = self.zero_point(bits)
        low, high = 0 if nonnegative else -zero_point, 2**bits - 1 - zero_point
        step = self.step(bits) if learn else self.step(bits).detach()
        return fake_quantize(x, step, low, high, values=x[0].numel())


@torch.no_grad()
def keep_positive(quantizer: WeightQuantizer | ActivationQuantizer) -> None:
    """Bring steps that training moved too far down back to their floors (`_SHARE_KEPT`)."""
    torch.maximum(quantizer.steps, quantizer.floors, out=quantizer.steps)


def is_stale(quantizer: WeightQuantizer | ActivationQuantizer, bits: int, now: int) -> bool:
    """Whether a width must be initialised again at training step `now` (STALE_AFTER_STEPS)."""
    return now - int(quantizer.trained_at[bits - MIN_BITS]) > STALE_AFTER_STEPS


def mark_trained(quantizer: WeightQuantizer | ActivationQuantizer, bits: int, now: int) -> None:
    """Remember that a width was trained (or initialised) at training step `now`."""
    quantizer.trained_at[bits - MIN_BITS] = now
