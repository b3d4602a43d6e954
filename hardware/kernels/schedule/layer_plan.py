"""LayerPlan: everything that shapes a layer's kernel, decided once and handed on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hardware.kernels.emitting.emit import Parameter, function
from hardware.kernels.epilogue.epilogue import EmitEpilogue
from hardware.kernels.epilogue.layer_tensors import LayerTensors, PixelOutputs
from hardware.kernels.families.family import Family
from hardware.kernels.schedule.schedule import Schedule
from hardware.kernels.shapes.geometry import Geometry

Buffers = Mapping[str, Any]
"""A kernel's arguments by name (see `LayerTensors.parameters`), flat."""

Packed = tuple[
    npt.NDArray[Any],
    npt.NDArray[np.int32],
    npt.NDArray[np.float32],
    dict[str, npt.NDArray[np.uint8]],
]
"""Weights, biases and multipliers in a kernel's order, and by name what it reads beside them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerPlan:
    """What the kernel of a convolution or a matrix product is made of."""

    geometry: Geometry
    """The layer's shapes."""
    tensors: LayerTensors
    """What is read and written."""
    epilogue: EmitEpilogue
    """How sums become outputs."""
    parallel: bool
    """Whether the threads of TVM's pool share the work."""

    def document(self) -> dict[str, Any]:
        """Return what shapes the code, for a kernel's key."""
        return {
            "geometry": self.geometry.document(),
            "tensors": asdict(self.tensors),
            "epilogue": type(self.epilogue).__name__,
            "parallel": self.parallel,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class TiledPlan(LayerPlan):
    """A layer whose outputs sum over channels: direct, or transformed where its family is."""

    family: Family
    """How products are summed."""
    schedule: Schedule
    """Register tile and order of the steps."""

    def document(self) -> dict[str, Any]:
        """Return what shapes the code, for a kernel's key."""
        return {
            **LayerPlan.document(self),
            "family": self.family.document(),
            "schedule": asdict(self.schedule),
        }


_Plan = TypeVar("_Plan", bound=LayerPlan)


def layer_function(
    symbol: str,
    plan: _Plan,
    parameters: Sequence[Parameter],
    emit: Callable[[_Plan, Buffers, PixelOutputs], None],
) -> Any:
    """Return the TensorIR function of one layer.

    Args:
        symbol: Name of the compiled function.
        plan: What it is made of.
        parameters: Its arguments (see `LayerTensors.parameters`).
        emit: Emits its body.
    """

    def body(*buffers: Any) -> None:
        named = dict(zip((one.name for one in parameters), buffers, strict=True))
        emit(plan, named, PixelOutputs(plan.geometry, plan.tensors, plan.epilogue, named))

    return function(symbol, parameters, body)
