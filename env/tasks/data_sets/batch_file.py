"""Reading CIFAR's batch files: pickles, of which only arrays, lists and numbers are believed."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quant.errors import DataError

CifarBatch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]
"""Images `[N, 3, side, side]` and labels `[N]`."""

_CHANNELS = 3
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}
"""What pickled numpy arrays are made with; nothing else in a file is ever called."""


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch file needs")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_batch(path: Path, *, side: int, classes: int, hint: str) -> CifarBatch:
    """Return images uint8 `[N, 3, side, side]` and labels int64 `[N]` of one batch file.

    Args:
        path: A file of CIFAR's python version.
        side: Height and width of the images.
        classes: Labels must be below this.
        hint: Where a right file comes from, shown with every complaint.

    Raises:
        DataError: missing, damaged, or not such a batch.
    """
    try:
        with path.open("rb") as file:
            document = _ArrayUnpickler(file, encoding="bytes").load()
    except OSError as error:
        raise DataError(f"cannot read the data file {path}: {error.strerror}", hint) from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataError(f"{path} is damaged or no batch file: {error}", hint) from None
    if not isinstance(document, dict) or not {b"data", b"labels"} <= document.keys():
        raise DataError(f"{path}: expected a batch with `data` and `labels`, found neither", hint)
    images, labels = document[b"data"], np.asarray(document[b"labels"])
    values = _CHANNELS * side * side
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 2:
        raise DataError(f"{path}: expected an array of bytes for each image", hint)
    if images.shape != (len(labels), values) or not len(labels):
        raise DataError(
            f"{path}: expected {len(labels)} images of {values} bytes, found {images.shape}", hint
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{path}: expected labels from 0 to {classes - 1}", hint)
    return images.reshape(-1, _CHANNELS, side, side), labels.astype(np.int64)
