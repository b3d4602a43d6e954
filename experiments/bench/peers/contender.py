"""Contender: one engine with one network loaded, ready to be timed."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from experiments.errors import BenchError
from hardware.kernels.planning.family_limits import FamilyShare
from quant.layers import FLOAT_BITS

Engine = Literal["bitalloc", "onnxruntime", "openvino", "torch", "tvm"]
ENGINES: Mapping[Engine, str] = {
    "bitalloc": "BitAlloc",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "torch": "PyTorch",
    "tvm": "TVM",
}
"""Every engine and what people call it."""

Bits = int | Literal["mixed"]
"""A bit-width, `FLOAT_BITS` for float32, or `mixed` where the layers differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A network on an engine. The input is in place before the first execution."""

    engine: Engine
    weight_bits: Bits
    activation_bits: Bits
    execute: Callable[[], object]
    """Runs one image, from a float32 input that is in place to float32 logits, on one thread."""
    families: tuple[str, ...] = ()
    """Kernel family of each layer, of our own programs."""
    shares: tuple[FamilyShare, ...] = ()
    """The products of each family, of our own programs."""

    @property
    def label(self) -> str:
        """What the contender is called in messages, for example `openvino W8A8`."""
        if self.weight_bits == FLOAT_BITS:
            return f"{self.engine} fp32"
        if self.weight_bits == "mixed":
            return f"{self.engine} mixed"
        return f"{self.engine} W{self.weight_bits}A{self.activation_bits}"


def import_engine(module: str) -> Any:
    """Import an optional package of the extra `bench`.

    Raises:
        BenchError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BenchError(
            f"bench runtime: expected the package {module.split('.')[0]}, found none ({error})",
            'pip install "bitalloc[bench]", or choose other --engines',
        ) from None
