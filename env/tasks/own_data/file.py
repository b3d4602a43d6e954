"""Own data from a file, .npz or .safetensors: arrays alone, and nothing in them is executed."""

import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.lib import format as npy
from safetensors.numpy import load_file

from env.tasks.own_data.arrays import Array
from quant.errors import DataError
from quant.records.regular_file import check_regular

MOST_BYTES = 1 << 32
"""Of all arrays of a file together, however small the file is."""
_PARTS = ("train", "search", "test")
_HINT = (
    "write arrays train_inputs, train_labels, test_inputs, test_labels, and search_inputs and "
    "search_labels where that split should be yours"
)


def read_data_file(path: Path) -> dict[str, tuple[Array, Array]]:
    """Return inputs and labels of each part, `{"train": (inputs, labels), ...}`.

    Raises:
        DataError: the file is damaged, too large, or has other arrays.
    """
    names = check_data_file(path)
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as found:
                arrays = {name: found[name] for name in names}
        else:
            arrays = load_file(path)
    except (OSError, ValueError, zipfile.BadZipFile, safetensors.SafetensorError) as error:
        raise _damaged(path, error) from None
    return {
        part: (arrays[f"{part}_inputs"], arrays[f"{part}_labels"])
        for part in _PARTS
        if f"{part}_inputs" in arrays
    }


def check_data_file(path: Path, most_bytes: int = MOST_BYTES) -> Mapping[str, int]:
    """Return the arrays of a file with their bytes, without reading them.

    Args:
        path: The file.
        most_bytes: Of all arrays together.

    Raises:
        DataError: it is no such file, has other arrays than data, or more than `most_bytes`.
    """
    try:
        check_regular(path)
        sizes = _npz_sizes(path) if path.suffix == ".npz" else _safetensors_sizes(path)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from None
    except safetensors.SafetensorError as error:
        raise _damaged(path, error) from None
    if (total := sum(sizes.values())) > most_bytes:
        raise DataError(
            f"{path.name}: expected arrays of at most {most_bytes:,} bytes, found {total:,}"
        )
    known = {f"{part}_{what}" for part in _PARTS for what in ("inputs", "labels")}
    needed = {f"{part}_{what}" for part in ("train", "test") for what in ("inputs", "labels")}
    pairs = {name.partition("_")[0] for name in sizes}
    complete = all(f"{part}_{what}" in sizes for part in pairs for what in ("inputs", "labels"))
    if not needed <= set(sizes) <= known or not complete:
        found = ", ".join(sorted(sizes)) or "none"
        raise DataError(
            f"{path.name}: expected arrays of data by their names, found {found}", _HINT
        )
    return sizes


def _npz_sizes(path: Path) -> dict[str, int]:
    sizes = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                raise ValueError(f"it holds {member.filename!r}, which is no array")
            name = member.filename.removesuffix(".npy")
            if name in sizes:
                raise ValueError(f"it holds {name!r} twice")
            with archive.open(member) as file:
                version = npy.read_magic(file)
                read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, _, dtype = read(file)
                if dtype.hasobject:
                    raise ValueError(f"{name} holds objects of Python, which are never read")
                # What is allocated is what the header says, whatever follows it.
                size = prod(shape) * dtype.itemsize
                if size != member.file_size - file.tell():
                    raise ValueError(f"{name} is of another size than its header says")
            sizes[name] = size
    return sizes


def _safetensors_sizes(path: Path) -> dict[str, int]:
    with safetensors.safe_open(path, "numpy") as file:
        names = list(file.keys())
    # The library refuses tensors that do not fill the file exactly: they are as large as it is.
    return dict.fromkeys(names, 0) | {names[0]: path.stat().st_size} if names else {}


def _damaged(path: Path, error: Exception) -> DataError:
    reason: Any = getattr(error, "strerror", None) or " ".join(str(error).split()) or repr(error)
    return DataError(f"{path.name}: expected a file of arrays, found another: {reason}", _HINT)
