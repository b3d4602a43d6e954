"""Runs on the board: `python call_functions.py LIBRARY GIVEN TAKEN` (see `EmulatedBoard.call`)."""

import sys

import numpy as np
import tvm.runtime


def main(library: str, given: str, taken: str) -> None:
    """Call every function with its tensors, and write the tensors as they are afterwards."""
    module = tvm.runtime.load_module(library)
    with np.load(given) as arrays:
        symbols = [str(symbol) for symbol in arrays["symbols"]]
        tensors = {
            name: tvm.runtime.tensor(arrays[name], tvm.runtime.cpu())
            for name in arrays.files
            if name != "symbols"
        }
    for index, symbol in enumerate(symbols):
        own = [name for name in tensors if name.startswith(f"{index}_")]
        module[symbol](*(tensors[f"{index}_{place}"] for place in range(len(own))))
    np.savez(taken, **{name: tensor.numpy() for name, tensor in tensors.items()})


main(*sys.argv[1:])
