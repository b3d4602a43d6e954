"""The epilogue in TensorIR: from numbers to codes.

With multiplier 0.01, zero point 3 and 4-bit codes, which are clipped to 0 .. 15:

    value             250     350    1234    -500
    * multiplier      2.5     3.5   12.34    -5.0
    rint              2       4     12       -5         ties go to the even number
    + zero_point      5       7     15       -2
    clip              5       7     15        0
"""

from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import splat, vector_type


def requantize_vector(values: Any, multiplier: Any, limits: Any, lanes: int) -> Any:
    """Return clip(rint(f32(values) * multiplier) + zero_point) as float32 of integers.

    Zero point and clip are applied in float: both are exact below 2^24, beyond it the clip decides,
    and no conversion can overflow. rint stands between the multiplication and the addition, so no
    target can fuse them.

    Args:
        values: Vector of integers or floats.
        multiplier: float32 vector.
        limits: float32 `[zero_point, clip_min, clip_max]`, a buffer or expressions.
        lanes: Length of the vectors.

    Source: docs/integers.md, "Requantization".
    """
    rounded = T.nearbyint(T.Cast(vector_type("float32", lanes), values) * multiplier)
    moved = rounded + splat(limits[0], lanes)
    return T.min(T.max(moved, splat(limits[1], lanes)), splat(limits[2], lanes))


def narrow_codes(values: Any, dtype: str, lanes: int) -> Any:
    """Return float32 integers within the range of an integer type as that type."""
    # By way of int32: x86 converts to no narrower integers, and LLVM would go lane by lane.
    return T.Cast(vector_type(dtype, lanes), T.Cast(vector_type("int32", lanes), values))
