"""Kernels of float islands: functions that TVM wrote, under names of ours."""

from collections.abc import Callable
from functools import partial
from typing import Any

import tvm

__all__ = ["named_function"]


def named_function(code: str) -> Callable[[str], Any]:
    """Return what makes a TensorIR function from its JSON; it can be pickled."""
    return partial(_load, code)


def _load(code: str, symbol: str) -> Any:
    return tvm.ir.load_json(code).with_attr("global_symbol", symbol)
