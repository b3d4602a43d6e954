"""Eager PyTorch, float32: what a network costs before anybody deploys it."""

import torch
from torch import nn

from experiments.bench.peers.contender import Contender
from quant.layers import FLOAT_BITS


def torch_contender(module: nn.Module, image: torch.Tensor) -> Contender:
    """Return the float network as PyTorch runs it, operator by operator.

    Args:
        module: In evaluation mode.
        image: float32 `[1, C, H, W]`.
    """

    def execute() -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = module(image)
            return logits

    return Contender(
        engine="torch", weight_bits=FLOAT_BITS, activation_bits=FLOAT_BITS, execute=execute
    )
