"""Runs on the board: calls functions as lines of standard input ask (see `BoardProcess`)."""

import json
import sys
from typing import Any

import numpy as np
import tvm.runtime


def _call(library: str, symbols: list[str], given: str, taken: str) -> None:
    """Call every function with its tensors, and write the tensors as they are afterwards."""
    module = tvm.runtime.load_module(library)
    results: dict[str, np.ndarray] = {}
    with np.load(given) as arrays:
        for index, symbol in enumerate(symbols):
            own = [name for name in arrays.files if name.startswith(f"{index}_")]
            names = [f"{index}_{place}" for place in range(len(own))]
            tensors = [tvm.runtime.tensor(arrays[name], tvm.runtime.cpu()) for name in names]
            module[symbol](*tensors)
            results |= {name: x.numpy() for name, x in zip(names, tensors, strict=True)}
    np.savez(taken, **results)  # type: ignore[arg-type]


def _answer(request: dict[str, Any]) -> dict[str, str]:
    try:
        _call(**request)
    except Exception as error:  # whatever a kernel raises belongs to whoever asked for it
        return {"error": f"{type(error).__name__}: {error}"}
    return {}


for line in sys.stdin:
    print(json.dumps(_answer(json.loads(line))), flush=True)
