"""LayerSpec: what one quantizable layer is, before any bits are chosen."""

from dataclasses import dataclass
from typing import Literal

MIN_BITS = 2
MAX_BITS = 8
INPUT_BITS = 8  # the network's input is 8-bit, fixed (docs/integers.md, "Whose bits")
FLOAT_BITS = 32
"""Stands for the weights of a layer that is left in float; activations never have it."""

LayerKind = Literal["conv2d", "linear"]


def width_name(bits: int) -> str:
    """Return a width as people write it."""
    return "float" if bits == FLOAT_BITS else str(bits)


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerSpec:
    """One Conv2d or Linear layer of the captured network.

    Shapes leave the batch out: `(channels, height, width)` for conv2d; for linear `(features,)`, or
    `(features, 1, tokens)` and the like where it multiplies every place of an image.
    """

    name: str
    """The module's dotted name in the user's network, for example `layer1.0.conv1`."""
    kind: LayerKind
    in_channels: int
    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    tensor: str
    """Name of the quantized tensor the layer reads; layers that name the same one are tied."""
    reads_input: bool = False
    """True where that tensor is the network's input, whose 8 bits are fixed."""
    macs: int
    parameters: int

    @property
    def is_depthwise(self) -> bool:
        """Whether every input channel is convolved by itself."""
        return self.groups > 1 and self.groups == self.in_channels

    @property
    def products(self) -> int:
        """Number of products summed for one output element (the accumulation depth)."""
        return self.in_channels // self.groups * self.kernel[0] * self.kernel[1]
