"""What a bundle answers: inputs read from a file, outputs printed and written, and the time.

Needs numpy and TVM's runtime alone: this file travels with bundles.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.runtime.loader import Bundle
from hardware.runtime.returned import Returned
from hardware.runtime.run import BundleError, refuse


def answer(folder: Path, inputs: Path | None, outputs: Path | None) -> int:
    """Run a bundle, print what it returns, and return the exit code.

    Args:
        folder: The bundle.
        inputs: An `.npy` file; None for one input of zeros.
        outputs: Gets what is returned: an `.npy` file, or an `.npz` of several outputs by name.
    """
    try:
        bundle = Bundle(folder)
        x = np.zeros((1, *bundle.input_shape), np.float32)
        if inputs is not None:
            x = _read(inputs)
        found = bundle.run(x)
        if outputs is not None:
            _write(outputs, bundle.outputs, found)
        _print(bundle, found)
        print(f"{bundle.time_ms():.4f} ms for one, median", flush=True)
    except BundleError as error:
        return refuse(error)
    except BrokenPipeError:  # whoever read has gone; Python would flush once more, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _read(path: Path) -> npt.NDArray[Any]:
    try:
        read = np.load(path, allow_pickle=False)
    except OSError as error:
        raise BundleError(
            f"the inputs {path} cannot be read: {error.strerror or error}; give an .npy file"
        ) from None
    except Exception as error:  # numpy raises whatever its parsers met, down to SyntaxError
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BundleError(
            f"the inputs {path} are no array: {reason}; write them with numpy.save"
        ) from None
    if not isinstance(read, np.ndarray):
        raise BundleError(f"expected one array in {path}, found an .npz; write it with numpy.save")
    return read


def _print(bundle: Bundle, found: Returned) -> None:
    if isinstance(found, tuple) or found.ndim != 2:
        every = found if isinstance(found, tuple) else (found,)
        for name, values in zip(bundle.outputs, every, strict=True):
            print(name, values.shape, f"from {values.min():.4f} to {values.max():.4f}")
        return
    for number, row in enumerate(found):
        best = int(row.argmax())
        label = bundle.labels[best] if best < len(bundle.labels) else best
        print(number, label, f"{row[best]:.4f}")


def _write(outputs: Path, names: tuple[str, ...], found: Returned) -> None:
    try:
        if isinstance(found, tuple):
            named: dict[str, Any] = dict(zip(names, found, strict=True))
            np.savez(str(outputs).removesuffix(".npy"), allow_pickle=False, **named)
        else:
            np.save(outputs, found)
    except OSError as error:
        raise BundleError(
            f"the outputs {outputs} cannot be written: {error.strerror}; give another file"
        ) from None
