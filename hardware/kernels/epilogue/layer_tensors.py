"""The tensors of a layer's kernel: its arguments, and where one pixel's outputs go.

A kernel's arguments, in order; those with a question mark are there only where a layer needs them:

    codes           u8        [N, H, W, C]             the input, with its border
    other?          int16     as the layer's output    a tensor that is added
    weights         packed    [blocks, steps, vectors, weight_lanes]
    bias            int32     one for each channel of each block
    multiplier      float32   likewise
    limits          float32   [zero_point, clip_min, clip_max]
    border          u8        [1], the code of padding
    lookup, offset? u8        the constant that a family needs
    scales?         float32   [3], see `Follow`
    follow_limits?  float32   [5], see `Follow`
    output?         u8, int16 or float32, with its border
    narrow?         u8        codes of the requantization that follows
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from hardware.kernels.emitting.emit import Parameter
from hardware.kernels.epilogue.epilogue import EmitEpilogue, Follow, Outputs, Scaling
from hardware.kernels.shapes.geometry import Geometry

_Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerTensors:
    """The tensors of a layer and of what is computed with it, as they are stored."""

    codes: _Shape
    output: _Shape | None
    """None where only narrow codes are kept."""
    out_dtype: str
    """`uint8`, `int16` or `float32` (logits)."""
    adds: bool = False
    """Whether another tensor of the output's shape, int16, is added."""
    wide: _Shape = ()
    """_Shape of the layer's own output, stored or not."""
    narrow: _Shape | None = None
    """_Shape of the narrow codes, where a requantization follows."""
    narrow_border: tuple[int, int] = (0, 0)

    def parameters(self, constants: Mapping[str, npt.NDArray[Any]]) -> list[Parameter]:
        """Return a kernel's arguments.

        They are: codes u8; the tensor that is added, int16, if any; the constants; the output and
        the narrow codes, those that are kept.

        Args:
            constants: `{name: packed array}`, in the order of the arguments.
        """
        parameters = [Parameter(name="codes", shape=self.codes, dtype="uint8")]
        if self.adds:
            parameters.append(Parameter(name="other", shape=self.wide, dtype="int16"))
        parameters += [
            Parameter(name=name, shape=array.shape, dtype=str(array.dtype))
            for name, array in constants.items()
        ]
        if self.output is not None:
            parameters.append(Parameter(name="output", shape=self.output, dtype=self.out_dtype))
        if self.narrow is not None:
            parameters.append(Parameter(name="narrow", shape=self.narrow, dtype="uint8"))
        return parameters


class PixelOutputs:
    """Emits the epilogue of one pixel after another."""

    def __init__(
        self,
        geometry: Geometry,
        tensors: LayerTensors,
        epilogue: EmitEpilogue,
        buffers: Mapping[str, Any],
    ) -> None:
        """Find the buffers that outputs are made of.

        Args:
            geometry: The layer's shapes.
            tensors: What is written.
            epilogue: How sums become outputs.
            buffers: The kernel's arguments, by name.
        """
        self.geometry, self.epilogue = geometry, epilogue
        self.narrow_geometry = replace(geometry, out_border=tensors.narrow_border)
        follow = None
        if "scales" in buffers:
            follow = Follow(buffers.get("other"), buffers["scales"], buffers["follow_limits"])
        self.scaling = Scaling(buffers["bias"], buffers["multiplier"], buffers["limits"], follow)
        self.output, self.narrow = buffers.get("output"), buffers.get("narrow")

    def emit(
        self, sums: Sequence[Any], constant: Any, pixel: tuple[Any, Any, Any], first: Any, real: int
    ) -> None:
        """Emit one pixel's outputs.

        Args:
            sums: int32 vectors of neighbouring channels, in order.
            constant: Where their constants start.
            pixel: Image, row and column.
            first: The first channel.
            real: How many of the channels exist.
        """
        place = self.geometry.out_place(*pixel)
        narrow = self.narrow_geometry.out_place(*pixel)
        outputs = Outputs(self.output, place + first, self.narrow, narrow + first)
        self.epilogue.emit(sums, constant, self.scaling, outputs, real)
