"""LayerSpec: what one quantizable layer is, before any bits are chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import model_serializer

MIN_BITS = 2
MAX_BITS = 8
INPUT_BITS = 8  # the network's input is 8-bit, fixed (docs/integers.md, "Whose bits")
FLOAT_BITS = 32
"""Stands for the weights of a layer that is left in float; activations never have it."""

LayerKind = Literal["conv2d", "linear", "matmul"]
"""The last is a product of two computed tensors, as an attention has them: it has no weights."""


def width_name(bits: int) -> str:
    """Return a width as people write it."""
    return "float" if bits == FLOAT_BITS else str(bits)


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerSpec:
    """One Conv2d or Linear layer of the captured network, or a product of two computed tensors.

    Shapes leave the batch out: `(channels, height, width)` for conv2d; for linear `(features,)`, or
    `(features, 1, tokens)` and the like where it multiplies every place of an image.

    A product has two bit-widths like a layer. Its right tensor, which kernels pack as they do
    weights, takes the place of weights everywhere: its channels in are the depth of the products,
    its channels out the columns.
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
    """Name of the quantized tensor the layer reads; layers that name the same one are tied. Of a
    product, the left one."""
    reads_input: bool = False
    """True where that tensor is the network's input, whose 8 bits are fixed."""
    macs: int
    parameters: int
    right: str = ""
    """Name of the right tensor of a product, whose bits stand where those of weights do; empty for
    layers."""
    right_shape: tuple[int, ...] = ()
    """Of what the product reads of it."""
    right_reads_input: bool = False
    """True where that tensor is the network's input."""

    @property
    def has_weights(self) -> bool:
        """Whether this is a layer, and no product of two computed tensors."""
        return self.kind != "matmul"

    @property
    def is_square(self) -> bool:
        """Whether a product's two tensors are one, so that both sides have the same bits."""
        return self.right == self.tensor

    @property
    def tensors(self) -> tuple[str, ...]:
        """The quantized tensors that are read: one, or both of a product."""
        return (self.tensor,) if self.has_weights else (self.tensor, self.right)

    def bit_pairs(self, widths: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """Return the (weight bits, activation bits) that there are of some widths.

        >>> product = LayerSpec(
        ...     name="attn.matmul", kind="matmul", in_channels=8, out_channels=9, macs=648,
        ...     input_shape=(8, 1, 9), output_shape=(9, 1, 9), parameters=0,
        ...     tensor="qkv", right="qkv", right_shape=(8, 1, 9),
        ... )
        >>> product.bit_pairs([4, 8])
        ((4, 4), (8, 8))
        """
        weights = (INPUT_BITS,) if self.right_reads_input else widths
        activations = (INPUT_BITS,) if self.reads_input else widths
        pairs = ((weight, activation) for weight in weights for activation in activations)
        return tuple(pair for pair in pairs if not self.is_square or pair[0] == pair[1])

    @property
    def is_depthwise(self) -> bool:
        """Whether every input channel is convolved by itself."""
        return self.groups > 1 and self.groups == self.in_channels

    @property
    def products(self) -> int:
        """Number of products summed for one output element (the accumulation depth)."""
        return self.in_channels // self.groups * self.kernel[0] * self.kernel[1]

    @model_serializer(mode="wrap")
    def _document(self, plain: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        document = plain(self)
        if self.has_weights:  # as it was before there were products
            for name in ("right", "right_shape", "right_reads_input"):
                del document[name]
        return document
