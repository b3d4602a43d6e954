"""What calibration takes from the values of a tensor: a sample for steps, a scale for streams."""

from collections.abc import Sequence

import torch

from quant.deploy_graph import WIDE_MAX

__all__ = ["sample_values", "wide_scale"]

STREAM_HEADROOM = 2.0
"""Wide scales leave this factor above the largest calibrated magnitude: training may grow it."""
SMALLEST_MAGNITUDE = 1e-6
"""A stream that was always zero is scaled as if it reached this."""
SAMPLE_VALUES = 16384
"""Values of each tensor kept for initialising its steps."""


def sample_values(members: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return up to SAMPLE_VALUES values of all tensors together, with their extremes.

    Values are drawn and not strided: a stride that divides the image would see only its border.
    """
    flat = torch.cat([member.flatten() for member in members])
    extremes = torch.stack(flat.aminmax())
    if flat.numel() > SAMPLE_VALUES:
        generator = torch.Generator().manual_seed(0)
        flat = flat[torch.randint(flat.numel(), (SAMPLE_VALUES,), generator=generator)]
    return torch.cat([flat, extremes])


def wide_scale(members: Sequence[torch.Tensor]) -> float:
    """Return the scale of the wide codes that hold all of these values."""
    largest = max(float(member.abs().max()) for member in members)
    return max(largest, SMALLEST_MAGNITUDE) * STREAM_HEADROOM / WIDE_MAX
