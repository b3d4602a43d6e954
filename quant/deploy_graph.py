"""DeployGraph: a converted network as a closed list of integer operators.

This is the only thing `quant/` hands to `hardware/`. Its semantics are docs/integers.md, and
`quant.integer` computes it in numpy. Everything is channels-last: images are `[N, H, W, C]`,
vectors `[N, F]`; the batch N is not part of any shape here. Only the network's input is
channels-first float32, as users of PyTorch have it.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quant.strides import Strides

WIDE_MIN, WIDE_MAX = -32768, 32767
TABLE_SIZE = 256
"""Entries of a lookup's table: one for each 8-bit code."""

Dtype = Literal["uint8", "int16", "float32", "bool", "int8", "int32", "int64", "float64"]
"""Codes and floats; those after the first three only between the functions of a float island."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployTensor:
    """One value of the graph: narrow codes (uint8), wide codes (int16) or floats (float32)."""

    name: str
    shape: tuple[int, ...]
    """`(H, W, C)` or `(F,)`; for the float input `(C, H, W)` or `(F,)`, and for what float islands
    read and make either. No batch."""
    dtype: Dtype
    border: tuple[int, int] = (0, 0)
    """Rows and columns of the padding's code that a program keeps around an image of narrow codes.
    A converted network has none; `hardware` sets them so that no layer needs a padded copy."""
    scale: float = 1.0
    """What one code is worth: real value = `scale * (code - zero_point)`. No operator needs it, as
    the multipliers are made of it; other formats of a network do."""
    zero_point: int = 0
    batched: bool = True
    """False between the functions of a float island, whose tensors have any shape: the batch is in
    it already, wherever it is."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Epilogue:
    """What a layer does to its accumulator: clip(rint(f32(acc + bias) * m) + z).

    The accumulator is `sum((q - z_in) * w)`; a kernel that sums `q * w` subtracts `z_in * sum(w)`.
    """

    bias: npt.NDArray[np.int32]
    """int32 `[out_channels]`, `rint(bias / (s_in * s_w[c]))`."""
    multiplier: npt.NDArray[np.float32]
    """float32 `[out_channels]`, `s_in * s_w[c] / s_out`, computed in float64."""
    zero_point: int = 0
    clip_min: int = 0
    clip_max: int = 0
    logits: bool = False
    """True for a float32 output, `f32(acc + bias) * m`: nothing is rounded, added or clipped."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Conv2d:
    """Integer convolution of narrow codes; padding writes the input's zero point."""

    layer: str
    """Name of the LayerSpec this operator comes from."""
    input: str
    output: str
    weight: npt.NDArray[np.int8]
    """int8 `[out_channels, kernel_h, kernel_w, in_channels / groups]`."""
    weight_bits: int
    activation_bits: int
    input_zero_point: int
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    epilogue: Epilogue

    @property
    def pair(self) -> tuple[int, int]:
        """The bits of the weights and of what is read."""
        return self.weight_bits, self.activation_bits


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Linear:
    """Integer matrix product of narrow codes."""

    layer: str
    input: str
    output: str
    weight: npt.NDArray[np.int8]
    """int8 `[out_features, in_features]`, columns in the order of the channels-last input."""
    weight_bits: int
    activation_bits: int
    input_zero_point: int
    epilogue: Epilogue

    @property
    def pair(self) -> tuple[int, int]:
        """The bits of the weights and of what is read."""
        return self.weight_bits, self.activation_bits


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizeInput:
    """Float32 to channels-last codes: clip(rint(x * m) + z).

    The network's input becomes 8-bit codes, and what a float island makes narrow or wide ones.
    """

    input: str
    output: str
    multiplier: float
    """float32 value of `1 / s`."""
    zero_point: int
    clip_min: int = 0
    clip_max: int = 255
    last: bool = False
    """Whether images of floats have their channels last, too; else first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dequantize:
    """Codes, channels-last, to float32: f32(q - z) * s, for a float island."""

    input: str
    output: str
    multiplier: float
    """float32 value of the scale."""
    zero_point: int
    last: bool = False
    """Whether images of floats have their channels last, too; else first."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RunIsland:
    """A float island: operators without integer forms, in float32."""

    name: str
    inputs: tuple[str, ...]
    output: str
    module: Any
    """A `torch.nn.Module` of float32 tensors as they are in the graph, frozen.
    `quant.capture.island_program` exports it, and whoever compiles it agrees with it to 1e-5
    relative."""
    layer: str = ""
    """The LayerSpec that was left in float; empty for operators without an integer form."""

    @property
    def parameter_bytes(self) -> int:
        """Bytes of what it reads beside its inputs, in float32."""
        return sum(int(value.nbytes) for value in self.module.state_dict().values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Requantize:
    """Wide codes to narrow or wide codes: clip(rint(f32(q) * m) + z)."""

    input: str
    output: str
    multiplier: float
    zero_point: int
    clip_min: int
    clip_max: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Add:
    """Sum of two wide tensors: clip(rint(f32(a) * ma) + rint(f32(b) * mb)), wide."""

    inputs: tuple[str, str]
    output: str
    multipliers: tuple[float, float]
    """float32 values `s_branch / s_stream`; 1.0 for a branch already on the stream's scale."""
    clip_min: int
    clip_max: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Multiply:
    """Product of two tensors: clip(rint(f32((a - za) * (b - zb)) * m) + z), wide or narrow.

    One of them may hold one value a channel, `[N, 1, 1, C]`.
    """

    inputs: tuple[str, str]
    output: str
    input_zero_points: tuple[int, int]
    multiplier: float
    """float32 value of `s_a * s_b / s_out`."""
    zero_point: int
    clip_min: int
    clip_max: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrices:
    """Shapes of a product: of each image `groups` times `[rows, depth]` by `[depth, columns]`.

    The heads of an attention are such groups: queries `[rows, depth]` by keys `[columns, depth]`,
    which lie turned around already, and then weights `[rows, columns]` by values.

        >>> heads = Matrices(groups=3, rows=197, depth=64, columns=197, turned=True)
        >>> heads.left, heads.right, heads.made
        ((3, 197, 64), (3, 197, 64), (3, 197, 197))
    """

    groups: int
    rows: int
    depth: int
    columns: int
    turned: bool
    """Whether the right matrices lie turned around, `[columns, depth]`."""

    @property
    def left(self) -> tuple[int, int, int]:
        """Shape of the left matrices of an image, as they lie."""
        return (self.groups, self.rows, self.depth)

    @property
    def right(self) -> tuple[int, int, int]:
        """Shape of the right matrices of an image, as they lie."""
        sides = (self.columns, self.depth) if self.turned else (self.depth, self.columns)
        return (self.groups, *sides)

    @property
    def made(self) -> tuple[int, int, int]:
        """Shape of an image's products."""
        return (self.groups, self.rows, self.columns)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return self.groups * self.rows * self.depth * self.columns


@dataclass(frozen=True, kw_only=True, slots=True)
class MatMul:
    """Products of two tensors' matrices of narrow codes: clip(rint(f32(acc) * m) + z).

    acc is `sum((a - za) * (b - zb))` over the depth. Narrow or wide.
    """

    layer: str
    """Name of the LayerSpec this operator comes from."""
    inputs: tuple[str, str]
    output: str
    matrices: Matrices
    """What of an image's codes, in the order in which they lie, is multiplied by what."""
    bits: tuple[int, int]
    """Of both inputs: codes are in 0..2^bits - 1."""
    input_zero_points: tuple[int, int]
    multiplier: float
    """float32 value of `s_a * s_b / s_out`, times what the network multiplies products by."""
    zero_point: int
    clip_min: int
    clip_max: int
    shape: tuple[int, ...]
    """`(H, W, C)`, of the output."""

    @property
    def pair(self) -> tuple[int, int]:
        """The bits of the right tensor, which stand where those of weights do, and of the left."""
        left, right = self.bits
        return right, left


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lookup:
    """A function of one value: narrow codes to narrow or wide ones, through a table."""

    input: str
    output: str
    table: npt.NDArray[Any]
    """uint8 or int16 `[256]`, as the output's codes are: entry q belongs to the code q."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MaxPool2d:
    """Maximum of codes (narrow or wide) over windows; padding never wins."""

    input: str
    output: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class AvgPool2d:
    """Sum of wide codes over windows in int32, then clip(rint(f32(sum) * m) + z).

    The count is folded into `multiplier`; padding adds the code 0 and counts (torch's
    `count_include_pad`).
    """

    input: str
    output: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    multiplier: float
    zero_point: int
    clip_min: int
    clip_max: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Reshape:
    """The same values in the same order, channels last, by another shape: no data moves."""

    input: str
    output: str
    shape: tuple[int, ...]
    """`(H, W, C)`, or `(F,)` for an image that is flattened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """Codes (narrow or wide) in another order: some of them, or some more than once."""

    input: str
    output: str
    strides: Strides
    """Which values of the input, channels last, make those of the output."""
    shape: tuple[int, ...]
    """`(H, W, C)` or `(F,)`, of the output."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Embedding:
    """Rows of a table, for the numbers of tokens that the network's input holds."""

    input: str
    """float32 `(T,)`: whole numbers; those beyond the table's rows count as the nearest."""
    output: str
    table: npt.NDArray[Any]
    """uint8 or int16 `[rows, F]`, as the output's codes are."""
    shape: tuple[int, ...]
    """`(H, W, C)`, of the output."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Constant:
    """Codes (narrow or wide) that are the same for every image: positions, a class token."""

    output: str
    codes: npt.NDArray[Any]
    """uint8 or int16 `[H, W, C]` or `[F]`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Concat:
    """Join tensors of one quantizer along one axis."""

    inputs: tuple[str, ...]
    output: str
    axis: int = -1
    """Of `(H, W, C)`: 0 for rows, 1 for columns, -1 for channels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pad2d:
    """Codes (narrow or wide) with rows and columns of the zero point around them."""

    input: str
    output: str
    before: tuple[int, int]
    """Rows above and columns to the left."""
    after: tuple[int, int]
    """Rows below and columns to the right."""
    zero_point: int
    """The code of the real value zero; 0 where codes are wide."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FloatCall:
    """One compiled function of a float island.

    A converted network has none: `hardware` puts them in the place of RunIsland.
    """

    island: str
    inputs: tuple[str, ...]
    output: str
    code: str
    """The function, as its compiler writes it."""
    constants: tuple[npt.NDArray[Any], ...]
    order: tuple[int, ...]
    """For each argument before the output, its place among the inputs and then the constants."""


DeployOp = (
    QuantizeInput
    | Conv2d
    | Linear
    | Add
    | Multiply
    | MatMul
    | Lookup
    | Requantize
    | MaxPool2d
    | AvgPool2d
    | Reshape
    | Move
    | Embedding
    | Constant
    | Concat
    | Pad2d
    | Dequantize
    | RunIsland
    | FloatCall
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployOutput:
    """One of the tensors that the user's network returns."""

    name: str
    """What the user's forward pass calls it (see `quant.outputs`)."""
    tensor: str
    shape: tuple[int, ...]
    """As the user's network returns it, without the batch."""
    channels_last: bool
    """Whether the tensor is an image of a layer's sums, which a program holds channels-last, and
    the user's network returns it channels-first."""
    rows: bool = False
    """Whether it is such an image, and the user's network returns it channels-last as well."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DeployGraph:
    """Operators in execution order, with every tensor they name."""

    network: str
    """What the network is called, for messages and file names."""
    input: str
    output: str
    """The tensor that a run gives; the first one that the network returns."""
    tensors: dict[str, DeployTensor]
    ops: tuple[DeployOp, ...] = field(default_factory=tuple)
    zeros: tuple[str, ...] = ()
    """Tensors of zeros that no operator writes: those that a part of a network reads beside its
    input."""
    kept: tuple[str, ...] = ()
    """Tensors that must exist beside the output: those that more than a part of a network reads,
    and the network's other outputs."""
    returned: tuple[DeployOutput, ...] = ()
    """What the user's network returns, in its order; empty for a part of a network."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the user calls the tensors that the network returns."""
        return tuple(output.name for output in self.returned)

    def layer_ops(self) -> tuple[Conv2d | Linear, ...]:
        """Return the quantized layers' operators, in order."""
        return tuple(op for op in self.ops if isinstance(op, Conv2d | Linear))

    def decided_ops(self) -> tuple[Conv2d | Linear | MatMul, ...]:
        """Return the operators that have bits of their own, in order: layers and products."""
        return tuple(op for op in self.ops if isinstance(op, Conv2d | Linear | MatMul))

    def weight_bytes(self) -> int:
        """Return the size of the packed parameters.

        Each layer counts its weights at their bit-width (rounded up to whole bytes a layer) plus
        8 bytes (int32 bias, float32 multiplier) an output channel; in float, 4 bytes a number.
        """
        integers: int = sum(
            (op.weight.size * op.weight_bits + 7) // 8 + 8 * op.weight.shape[0]
            for op in self.layer_ops()
        )
        islands = (op for op in self.ops if isinstance(op, RunIsland))
        return integers + sum(island.parameter_bytes for island in islands if island.layer)


def read_names(op: DeployOp) -> tuple[str, ...]:
    """Return the names of the tensors that an operator reads, in the order of its inputs."""
    if isinstance(op, Add | Multiply | MatMul | Concat | RunIsland | FloatCall):
        return op.inputs
    if isinstance(op, Constant):
        return ()
    return (op.input,)
