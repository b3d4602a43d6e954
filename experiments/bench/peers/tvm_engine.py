"""Ordinary TVM, float32: the network as TVM compiles it without tuning and without our kernels."""

import torch
from torch import nn

from experiments.bench.peers.contender import Contender
from hardware.target import TargetConfig
from hardware.worker.program.ordinary_tvm import build_ordinary
from quant.layers import FLOAT_BITS


def tvm_contender(module: nn.Module, image: torch.Tensor, target: TargetConfig) -> Contender:
    """Compile the float network with ordinary TVM.

    Args:
        module: In evaluation mode.
        image: float32 `[1, C, H, W]`.
        target: Whose instructions TVM may use.
    """
    program = build_ordinary(torch.export.export(module, (image,)), target)
    x = image.numpy()
    return Contender(
        engine="tvm",
        weight_bits=FLOAT_BITS,
        activation_bits=FLOAT_BITS,
        execute=lambda: program.run(x),
    )
