"""The reference kernel: one small layer that is run beside every candidate.

Its result says whether the board computes right, and its time how fast the board is at the moment.
"""

import numpy as np

from quant.deploy_graph import Conv2d, DeployGraph, DeployTensor, Epilogue

_SIDE, _CHANNELS = 16, 32
"""0.3 million multiply-accumulates and 17 KB: a millisecond at most, inside every first cache."""
_SEED = 0


def reference_graph(bits: int = 8) -> DeployGraph:
    """Return one 1x1 convolution with random codes, always the same.

    Args:
        bits: Of weights and activations; 8 is the kernel that is timed.
    """
    rng = np.random.default_rng(_SEED)
    largest = 2 ** (bits - 1) - 1
    shape = (_CHANNELS, 1, 1, _CHANNELS)
    weight = rng.integers(-largest, largest, shape, np.int8, endpoint=True)
    layer = Conv2d(
        input="input",
        output="output",
        weight=weight,
        epilogue=Epilogue(
            bias=rng.integers(-1000, 1000, _CHANNELS, np.int32),
            multiplier=np.full(_CHANNELS, 16.0 / 4.0**bits / 2.0, np.float32),
            zero_point=128,
            clip_min=0,
            clip_max=255,
        ),
        layer="reference",
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=1,
        input_zero_point=2 ** (bits - 1),
        weight_bits=bits,
        activation_bits=bits,
    )
    image = (_SIDE, _SIDE, _CHANNELS)
    return DeployGraph(
        network="reference kernel" if bits == 8 else f"reference kernel at {bits} bits",
        ops=(layer,),
        tensors={
            name: DeployTensor(name=name, shape=image, dtype="uint8")
            for name in ("input", "output")
        },
        input="input",
        output="output",
    )
