"""Generic: one product at a time in 32 bits, on any target.

A step takes one code and eight weights, one of each output channel:

    lane       0           1           ...   7
    code       q           q                 q
    weight     w[0]        w[1]              w[7]        widened to int32
    total  +=  q w[0]      q w[1]            q w[7]
"""

from dataclasses import dataclass
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import load
from hardware.kernels.families.family import CodeDtype, Family, WeightDtype


@dataclass(frozen=True, kw_only=True, slots=True)
class Generic(Family):
    """Exact for every pair; LLVM chooses the instructions."""

    name: str = "generic"
    channels: int = 8
    products: int = 1
    code_dtype: CodeDtype = "uint8"
    weight_dtype: WeightDtype = "int8"
    weight_lanes: int = 8
    accumulator: str = "int32x8"

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return one code in every lane."""
        return T.broadcast(T.Cast("int32", load(codes, position, 1)), self.channels)

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + code * weight."""
        term = T.Cast("int32x8", weight) * code
        return term if total is None else total + term
