"""Arithmetic: in what numbers training steps multiply, and how their images lie in memory."""

from dataclasses import dataclass
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arithmetic:
    """How training steps compute; what is judged, calibrated or scored computes in float32."""

    precision: Precision = "float32"
    """`bfloat16`: layers multiply numbers of 8 significant bits. Everything between layers, biases,
    quantizers, gradients of weights and the descent stay in float32."""
    channels_last: bool = False
    """Values of one place lie together in memory, as convolutions of some devices like them."""

    def lay(self, images: torch.Tensor) -> torch.Tensor:
        """Return images as they are to lie in memory, `[N, C, H, W]` or `[N, F]` all the same."""
        if not self.channels_last or images.ndim != 4:
            return images
        return images.contiguous(memory_format=torch.channels_last)


FLOAT32 = Arithmetic()
