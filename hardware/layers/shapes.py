"""Standard shapes: layers that every device can be asked about, without a network or training.

They are the layers of the networks people deploy: the four 3x3 convolutions, a strided one and the
first layer of ResNet-18 at 224x224, the three 3x3 convolutions of a CIFAR ResNet-20, two 1x1 and
two depthwise convolutions of MobileNetV2, and the classifiers of ResNet-18 and MobileNetV2.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quant.deploy_graph import (
    Conv2d,
    DeployGraph,
    DeployOp,
    DeployTensor,
    Epilogue,
    Linear,
    QuantizeInput,
)
from quant.layers import MAX_BITS

_SEED = 0
_LARGEST_CODE = 2**MAX_BITS - 1
_LARGEST_WEIGHT = 2 ** (MAX_BITS - 1) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class StandardShape:
    """One layer; a `kernel` of 0 is a dense layer of `channels` features."""

    side: int = 1
    """Height and width of its input."""
    channels: int
    out_channels: int
    kernel: int = 3
    stride: int = 1
    depthwise: bool = False
    reads_image: bool = False
    """True for a network's first layer, whose activations keep their 8 bits."""

    @property
    def name(self) -> str:
        """What it is and its input, such as `conv3x3-56x56x64`; its output channels where new."""
        kind = "stem" if self.reads_image else "strided" if self.stride > 1 else "conv"
        what = "depthwise" if self.depthwise else f"{kind}{self.kernel}x{self.kernel}"
        reads = f"{what}-{self.side}x{self.side}x{self.channels}"
        reads = reads if self.kernel else f"dense-{self.channels}"
        return reads if self.out_channels == self.channels else f"{reads}-{self.out_channels}"


STANDARD_SHAPES = (
    StandardShape(side=56, channels=64, out_channels=64),
    StandardShape(side=28, channels=128, out_channels=128),
    StandardShape(side=14, channels=256, out_channels=256),
    StandardShape(side=7, channels=512, out_channels=512),
    StandardShape(side=56, channels=64, out_channels=128, stride=2),
    StandardShape(side=32, channels=16, out_channels=16),
    StandardShape(side=16, channels=32, out_channels=32),
    StandardShape(side=8, channels=64, out_channels=64),
    StandardShape(side=224, channels=3, out_channels=64, kernel=7, stride=2, reads_image=True),
    StandardShape(side=14, channels=96, out_channels=576, kernel=1),
    StandardShape(side=14, channels=576, out_channels=96, kernel=1),
    StandardShape(side=56, channels=144, out_channels=144, depthwise=True),
    StandardShape(side=14, channels=576, out_channels=576, depthwise=True),
    StandardShape(channels=512, out_channels=1000, kernel=0),
    StandardShape(channels=1280, out_channels=1000, kernel=0),
)

SMALL_SHAPES = tuple(
    shape
    for shape in STANDARD_SHAPES
    if shape.name in ("conv3x3-16x16x32", "conv3x3-8x8x64", "depthwise-14x14x576", "dense-512-1000")
)
"""One of each kind that an emulated board, a hundred times slower, still times within a minute."""


def standard_graph(shape: StandardShape) -> DeployGraph:
    """Return one shape as a network of its own, with random 8-bit codes."""
    rng = np.random.default_rng(_SEED)
    tensors: dict[str, DeployTensor] = {}
    ops: list[DeployOp] = []
    size = (shape.side, shape.side, shape.channels) if shape.kernel else (shape.channels,)
    tensors["codes"] = DeployTensor(name="codes", shape=size, dtype="uint8")
    if shape.reads_image:
        image = (shape.channels, shape.side, shape.side)
        tensors["image"] = DeployTensor(name="image", shape=image, dtype="float32")
        step = float(np.float32(_LARGEST_CODE))  # an image of 0 to 1
        ops.append(QuantizeInput(input="image", output="codes", multiplier=step, zero_point=0))
    layer = _conv(shape, rng) if shape.kernel else _linear(shape, rng)
    tensors["out"] = _output(shape)
    return DeployGraph(
        network=shape.name,
        input="image" if shape.reads_image else "codes",
        output="out",
        tensors=tensors,
        ops=(*ops, layer),
    )


def _output(shape: StandardShape) -> DeployTensor:
    if not shape.kernel:
        return DeployTensor(name="out", shape=(shape.out_channels,), dtype="float32")
    side = (shape.side + 2 * (shape.kernel // 2) - shape.kernel) // shape.stride + 1
    return DeployTensor(name="out", shape=(side, side, shape.out_channels), dtype="uint8")


def _conv(shape: StandardShape, rng: np.random.Generator) -> Conv2d:
    group_channels = 1 if shape.depthwise else shape.channels
    dims = (shape.out_channels, shape.kernel, shape.kernel, group_channels)
    return Conv2d(
        layer=shape.name,
        input="codes",
        output="out",
        weight=_weights(dims, rng),
        weight_bits=MAX_BITS,
        activation_bits=MAX_BITS,
        input_zero_point=0,
        stride=(shape.stride, shape.stride),
        padding=(shape.kernel // 2, shape.kernel // 2),
        dilation=(1, 1),
        groups=shape.channels if shape.depthwise else 1,
        epilogue=_epilogue(dims, logits=False, rng=rng),
    )


def _linear(shape: StandardShape, rng: np.random.Generator) -> Linear:
    dims = (shape.out_channels, shape.channels)
    return Linear(
        layer=shape.name,
        input="codes",
        output="out",
        weight=_weights(dims, rng),
        weight_bits=MAX_BITS,
        activation_bits=MAX_BITS,
        input_zero_point=0,
        epilogue=_epilogue(dims, logits=True, rng=rng),
    )


def _weights(dims: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.int8]:
    return rng.integers(-_LARGEST_WEIGHT, _LARGEST_WEIGHT, dims, dtype=np.int8, endpoint=True)


def _epilogue(dims: tuple[int, ...], *, logits: bool, rng: np.random.Generator) -> Epilogue:
    """Return bias and multipliers that spread the outputs over their codes, half of them 0."""
    # Standard deviation of a sum of products of uniform codes: each factor's root mean square.
    products = int(np.prod(dims[1:]))
    spread = np.sqrt(products) * (_LARGEST_CODE / np.sqrt(3)) * (_LARGEST_WEIGHT / np.sqrt(3))
    bias = rng.integers(-int(spread), int(spread), dims[0], endpoint=True).astype(np.int32)
    multiplier = (_LARGEST_CODE / (3 * spread) * rng.uniform(0.5, 1.5, dims[0])).astype(np.float32)
    return Epilogue(
        bias=bias, multiplier=multiplier, clip_max=0 if logits else _LARGEST_CODE, logits=logits
    )
