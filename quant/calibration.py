"""What calibration takes from the values of a tensor: samples for steps, a scale for streams."""

from collections.abc import Sequence

import torch

from quant.deploy_graph import WIDE_MAX
from quant.layers import LayerSpec
from quant.tensors.moving import like, number

_STREAM_HEADROOM = 2.0
"""Wide scales leave this factor above the largest calibrated magnitude: training may grow it."""
_SMALLEST_MAGNITUDE = 1e-6
"""A stream that was always zero is scaled as if it reached this."""
_SAMPLE_VALUES = 16384
"""Values of each tensor kept for initialising its steps."""
_SAMPLE_WINDOWS = 128
"""Outputs of each layer whose inputs are kept for initialising its weights' steps: the mean of
their squared errors is known to 12 %."""


def sample_values(members: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return up to `_SAMPLE_VALUES` values of all tensors together, with their extremes.

    Values are drawn and not strided: a stride that divides the image would see only its border.
    """
    flat = torch.cat([member.flatten() for member in members])
    extremes = torch.stack(flat.aminmax())
    if flat.numel() > _SAMPLE_VALUES:
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randint(flat.numel(), (_SAMPLE_VALUES,), generator=generator)
        flat = flat[like(drawn, flat)]
    return torch.cat([flat, extremes])


def sample_windows(
    spec: LayerSpec, x: torch.Tensor, samples: int = _SAMPLE_WINDOWS
) -> torch.Tensor:
    """Return what a sample of a layer's outputs are sums of: the same outputs at each call.

    Args:
        spec: The layer.
        x: What it reads, float32 `[N, C, H, W]` or `[N, F]`.
        samples: How many outputs.

    Returns:
        float32 `[groups, samples, in]`, in the order of one output channel's weights.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(count: int) -> torch.Tensor:
        return torch.randint(count, (samples,), generator=generator)

    images = draw(len(x))
    if spec.kind == "linear" and x.ndim == 2:
        return x[like(images, x)].unsqueeze(0)
    inside, places = [], []
    for axis in (0, 1):
        taps = torch.arange(spec.kernel[axis]) * spec.dilation[axis] - spec.padding[axis]
        place = draw(spec.output_shape[1 + axis])[:, None] * spec.stride[axis] + taps
        inside.append((place >= 0) & (place < x.shape[2 + axis]))
        places.append(place.clamp(0, x.shape[2 + axis] - 1))
    # [samples, kh, kw, C]: what several index tensors pick comes first.
    rows, columns = places[0][:, :, None], places[1][:, None, :]
    picked = x[like(images[:, None, None], x), :, like(rows, x), like(columns, x)]
    picked = picked * like((inside[0][:, :, None] & inside[1][:, None, :])[..., None], x)
    grouped = picked.permute(0, 3, 1, 2).reshape(samples, spec.groups, -1)
    return grouped.transpose(0, 1).contiguous()


def wide_scale(members: Sequence[torch.Tensor]) -> float:
    """Return the scale of the wide codes that hold all of these values."""
    largest = max(number(member.abs().max()) for member in members)
    return max(largest, _SMALLEST_MAGNITUDE) * _STREAM_HEADROOM / WIDE_MAX
