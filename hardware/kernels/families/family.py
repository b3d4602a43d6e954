"""Family: what every way of summing products gives the kernel that uses it.

One sum of products, as every family computes it:

    code   = read_code(codes, position, lookup)    `products` codes of one pixel
    weight = a vector of `weight_lanes` weights    of `channels` output channels
    total  = multiply_add(total, code, weight)     an `accumulator`; this is one step
             carried += fold(total)                after `depth` steps, where it would overflow
    sums   = finish(carried)                       int32 vectors of `wide_lanes` channels

    family               products  channels  accumulator  carried
    generic                     1         8  int32x8
    avx-vnni                    4         8  int32x8
    avx512-vnni                 4        16  int32x16
    amx (tiles of its own)      4        16  int32x16
    avx2, 16-bit operands       2         8  int32x8
    avx2, 8-bit operands        4         8  int16x16     int32x8
    avx2, table                 2        32  uint8x32     uint16x16, uint16x16
    arm-dot            4, 8 or 16         4  int32x4
    neon, 16-bit sums     8 or 16         4  int16x32     int32x16
    neon, 8-bit sums           16         4  int8x64      int16x32
    neon, 16-bit operands       8         4  int32x16
    neon, table                 2        16  uint8x16     uint16x8, uint16x8

More read packed weights (`Avx2Nibbles`, `Avx2HalfTable`, `Avx2Packed`, `VnniPacked`,
`ArmDotPacked`), and depthwise layers have families of their own (`DepthwiseFamily`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import load
from hardware.kernels.shapes.reorder import reorder
from hardware.kernels.shapes.transform import TileName, TileTransform
from hardware.kernels.shapes.transformed_codes import TILES, CodeForm

CodeDtype = Literal["uint8", "int8", "int16", "pairs"]
"""How a step reads activation codes: `uint8` as they travel; `int8` less 128; `int16` widened;
`pairs` as one byte for two codes (see `TableFamily`). All but the first need a copy of the image,
or a transform, which stores codes of its own."""

WeightDtype = Literal["int8", "uint8", "int16"]

_MISS = 1.5
"""What a vector of weights from the second cache costs, in instructions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family(ABC):
    """One way to compute sums of products, exact for the bits it is chosen for.

    A step multiplies `products` codes of one pixel by one vector of weights, which holds the
    weights of `channels` output channels for these codes, and adds the products to an
    accumulator. After at most `depth` steps the accumulator is folded into wider vectors.
    """

    name: str
    channels: int
    """Output channels of one vector of weights."""
    products: int
    """Codes of one step."""
    code_dtype: CodeDtype
    weight_dtype: WeightDtype
    weight_lanes: int
    """Elements of one vector of weights."""
    accumulator: str
    """Type of the accumulator that one vector of weights is added to, such as `int16x16`."""
    depth: int = 0
    """Steps that an accumulator holds; 0: it is int32 and holds every sum."""
    carried: tuple[str, ...] = ()
    """Types of the vectors that an accumulator is folded into every `depth` steps."""
    wide_lanes: int = 8
    """Lanes of one int32 vector."""
    step_instructions: float = 2.0
    """Instructions of one `multiply_add`, to compare tiles."""
    weight_loads: float = 1.0
    """Instructions that load one vector of weights, to compare tiles."""
    lone_weight_loads: float = 0.0
    """The same for a vector that one pixel alone uses: x86 can multiply by an operand in memory."""
    waits: bool = False
    """Whether one instruction multiplies and adds, so that each accumulator waits for the whole of
    it: a core is busy only with many accumulators at a time."""
    panels: bool = True
    """Whether long sums may go faster panel by panel (see `Schedule.panels`)."""
    terms: bool = True
    """Whether the steps that `depth` allows may go faster as one expression, which is folded at
    once (see `Schedule.chunk_iterations`)."""
    most_inside: int = 4
    """Most steps that are written one after another where a window is one run."""
    tiles: TileName = ""
    """How codes and weights are transformed before they are multiplied (see
    `hardware.kernels.shapes.transform`); empty where they are not."""
    signed_bytes: bool = False
    """Whether bytes of transformed codes are signed."""

    @abstractmethod
    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return the accumulator after one step.

        Args:
            total: The accumulator before it; None for one of zeros.
            code: What `read_code` returned.
            weight: What `read_weight` returned.
        """

    @abstractmethod
    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return the codes of one step in the form that `multiply_add` takes.

        Args:
            codes: Flat buffer of codes, as `code_dtype` says.
            position: Of the first code; may be symbolic.
            lookup: Buffer of `lookup_table`, None where the family has none.
        """

    def read_weight(self, weights: Any, place: Any) -> Any:
        """Return the weights of one vector in the form that `multiply_add` takes.

        Args:
            weights: Flat buffer of weights.
            place: Of the vector's first element; may be symbolic.
        """
        return load(weights, place, self.weight_lanes)

    def fold(self, total: Any) -> tuple[Any, ...]:
        """Return an accumulator as vectors of the types `carried`, to be added to them."""
        raise NotImplementedError(f"{self.name} has no depth")

    def finish(self, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the int32 vectors of one vector of weights, in the order of `wide_places`.

        Args:
            carried: The accumulator where `depth` is 0, else the vectors it was folded into.
        """
        return carried

    @property
    def winograd(self) -> bool:
        """Whether codes and weights are transformed."""
        return bool(self.tiles)

    @property
    def transform(self) -> TileTransform:
        """How codes and weights are transformed, where they are."""
        assert self.tiles
        return TILES[self.tiles]

    @property
    def code_form(self) -> CodeForm:
        """How transformed codes are multiplied."""
        if self.code_dtype == "int16":
            return "int16"
        return "int8" if self.signed_bytes else "uint8"

    @property
    def image_dtype(self) -> CodeDtype:
        """How codes are read from the image: by the steps, or by the transform before them."""
        return "uint8" if self.winograd else self.code_dtype

    @property
    def stands_for(self) -> float:
        """Products of a layer that one product of this family stands for."""
        return self.transform.saving if self.winograd else 1.0

    @property
    def wide_vectors(self) -> int:
        """Vectors of int32 that the sums of one vector of weights take."""
        return self.channels // self.wide_lanes

    @property
    def vector_bytes(self) -> int:
        """Bytes of one vector of weights."""
        return self.weight_lanes * np.dtype(self.weight_dtype).itemsize

    def wide_places(self) -> npt.NDArray[np.intp]:
        """Return `[wide_vectors, wide_lanes]`: the place in a vector of weights of each sum."""
        return np.arange(self.channels).reshape(self.wide_vectors, self.wide_lanes)

    def weight_steps(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return the weights of each step in the order of the lanes.

        Args:
            rows: int8 `[..., channels, steps * products]`.

        Returns:
            `[..., steps, weight_lanes]` of `weight_dtype`.
        """
        *outer, channels, codes = rows.shape
        steps, n = codes // self.products, len(outer)
        split = rows.astype(self.weight_dtype, copy=False).reshape(*outer, channels, steps, -1)
        moved = reorder(split, (*range(n), n + 1, n, n + 2))
        return moved.reshape(*outer, steps, channels * self.products)

    def sums_in_registers(self, vectors: int) -> int:
        """Return how many accumulators fit a core's registers beside weights and codes.

        Args:
            vectors: Vectors of weights in the tile.
        """
        return 8

    def most_sums(self, vectors: int) -> int:
        """Return how many accumulators the largest tile worth trying has."""
        return 10

    def step_cost(self, pixels: int, vectors: int, *, is_near: bool) -> float:
        """Return about how many instructions one step of a tile takes, to compare tiles.

        Args:
            pixels: Of the tile.
            vectors: Vectors of weights in the tile.
            is_near: Whether the weights come from the first cache.
        """
        reads = 2 if self.code_dtype == "pairs" else 1
        # A vector of weights that is used once is read by the multiplication itself.
        loads = self.weight_loads if pixels > 1 else self.lone_weight_loads
        loads += 0.0 if is_near else _MISS
        return self.step_instructions * pixels * vectors + reads * pixels + loads * vectors

    def lookup_table(self) -> npt.NDArray[np.uint8] | None:
        """Return a constant that the kernel reads codes through, None where there is none."""
        return None

    def code_shift(self) -> int:
        """Return what is subtracted from every code before it is multiplied."""
        return 128 if self.code_dtype == "int8" else 0

    def step_bias(self) -> int:
        """Return what every step adds to every sum beside its products."""
        return 0

    def fits(self, steps: int) -> bool:
        """Return whether a sum of so many steps can be computed at all."""
        return True

    def document(self) -> dict[str, Any]:
        """Return what shapes the code, for a kernel's key."""
        return {name: getattr(self, name) for name in _fields(self)}


def broadcast_word(codes: Any, position: Any, count: int, lanes: int) -> Any:
    """Return int32xlanes with `count` neighbouring codes, 32 bits, in every lane."""
    return T.broadcast(T.reinterpret(load(codes, position, count), dtype="int32"), lanes)


def _fields(family: Family) -> Sequence[str]:
    return tuple(family.__dataclass_fields__)
