"""KernelPlan: one operator's kernel, before it is compiled.

The key, shortened, of a kernel that makes narrow codes of 40 wide ones:

    {"kernel": "requantize",
     "family": "generic",
     "code": {"dtypes": ["int16", "uint8"], "layouts": [...], "shapes": [[1, 40], [1, 40]]},
     "source": "d196c6241522c924",
     "target": {"mcpu": "znver4", "mtriple": "...", "mattr": [], "tvm": "..."}}

Another shape, another CPU, or other code of the kernels (`source`) makes another key. Another
multiplier does not: it is a constant, passed at run time.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class KernelPlan:
    """What to compile for one operator, and what to pass to it at run time.

    The compiled function takes `(inputs..., constants..., output)` as tensors, the output last
    (destination-passing style), batch axis first.
    """

    key: Mapping[str, Any]
    """Everything that shapes the code, as a JSON document: family, geometry, depth class, tile,
    batch, target, kernel source version, TVM version. Two plans with equal keys share code."""
    build: Callable[[str], Any]
    """Makes the TensorIR function (`tvm.tirx.PrimFunc`) with the given global symbol. Can be
    pickled, so that another process can compile it."""
    constants: tuple[npt.NDArray[Any], ...]
    """Packed weights, bias, multipliers, zero points and clips: run-time arguments."""
    family: str
    """Name of the kernel family, for tables: `avx2-w8`, `generic`, ..."""
    order: tuple[int, ...] | None = None
    """Places of the arguments before the output among inputs and constants; None where they come
    in this order."""

    @cached_property
    def document(self) -> str:
        """The key as canonical JSON, compared whole on a cache hit."""
        return json.dumps(self.key, sort_keys=True, separators=(",", ":"))

    @cached_property
    def symbol(self) -> str:
        """Name of the compiled function; a digest of the key, used as an index only."""
        return "k_" + hashlib.sha256(self.document.encode()).hexdigest()[:24]
