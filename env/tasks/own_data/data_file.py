"""Data of a file: arrays that numpy or safetensors wrote, read without running anything in it."""

import re
import zipfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from quant.errors import DataError
from quant.records.regular_file import check_regular

DATA_FILES = (".npz", ".safetensors")
"""Endings of the files that are read."""
MOST_BYTES = 1 << 33
"""Of all arrays of a file together, unpacked."""
NAMES = (
    "name them train_inputs, train_labels, test_inputs and test_labels, and search_inputs and "
    "search_labels if the split should be yours"
)
_PARTS = ("train", "test", "search", "val", "valid", "validation")
_INPUTS = ("inputs", "images", "data", "signals", "x")
_LABELS = ("labels", "targets", "y")


def is_data_file(name: str) -> bool:
    """Whether `task.data` is a file's path, and no function."""
    return name.lower().endswith(DATA_FILES)


def read_data_file(file: Path) -> dict[str, tuple[Any, Any]]:
    """Return inputs and labels of each part: `{"train": (inputs, labels), "test": ...}`.

    Args:
        file: Of numpy (.npz) or safetensors, with arrays called `train_inputs`, `train_labels` and
            so on; `x_train`, `y_train` and `train_images` mean the same.

    Raises:
        DataError: there is no such file, it is damaged, too large, holds objects of Python, or its
            arrays have other names.
    """
    try:
        check_regular(file)
        if file.stat().st_size > MOST_BYTES:
            raise DataError(f"the data {file} are larger than {MOST_BYTES:,} bytes")
        read = _read_npz if file.suffix.lower() == ".npz" else load_file
        arrays: dict[str, Any] = dict(read(file))
    except OSError as error:
        raise DataError(
            f"cannot read the data {file}: {error.strerror or error}",
            "" if file.is_absolute() else "start in the folder from which its path begins",
        ) from None
    except DataError:
        raise
    except Exception as error:  # of a damaged archive or header, nearly anything
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(
            f"{file} is damaged, or no file of numpy or safetensors: {first}",
            f"write it again: numpy.savez_compressed({file.name!r}, train_inputs=..., "
            "train_labels=..., test_inputs=..., test_labels=...)",
        ) from None
    return _paired(arrays, file)


def _read_npz(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of an archive, none of which is larger than the archive says."""
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        total = sum(part.file_size for part in parts)
        if total > MOST_BYTES:
            raise DataError(
                f"{file} unpacks to {total:,} bytes, and at most {MOST_BYTES:,} are read"
            )
        for part in parts:
            name = part.filename.removesuffix(".npy")
            with archive.open(part) as opened:
                _check_header(opened, part.file_size, name, file)
            with archive.open(part) as opened:
                yield name, np.lib.format.read_array(opened, allow_pickle=False)


def _check_header(opened: Any, room: int, name: str, file: Path) -> None:
    """Refuse an array that says to be larger than its bytes, for which memory would be taken."""
    version = np.lib.format.read_magic(opened)
    read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
        version, np.lib.format.read_array_header_2_0
    )
    shape, _, kind = read(opened)
    if kind.hasobject:
        raise DataError(
            f"{file}: expected numbers or texts in {name!r}, found objects of Python",
            "write arrays of numbers, as labels.astype('int64')",
        )
    if min(shape, default=0) < 0 or prod(shape) * kind.itemsize > room:
        raise DataError(f"{file} is damaged: values of {name!r} are missing")


def _paired(arrays: dict[str, Any], file: Path) -> dict[str, tuple[Any, Any]]:
    found: dict[tuple[str, bool], str] = {}
    for name in arrays:
        words = set(re.split(r"[^a-z0-9]+", name.lower()))
        parts = words.intersection(_PARTS)
        kinds = {word in _LABELS for word in words.intersection((*_INPUTS, *_LABELS))}
        if len(parts) != 1 or len(kinds) != 1:
            continue
        place = (parts.pop(), kinds.pop())
        if place in found:
            raise DataError(f"{file}: {found[place]!r} and {name!r} mean the same", NAMES)
        found[place] = name
    whole = [part for part in _PARTS if {(part, False), (part, True)} <= found.keys()]
    alone = {part for part, _ in found} - set(whole)
    if "train" not in whole or alone:
        names = ", ".join(list(arrays)[:8]) or "none"
        raise DataError(
            f"{file}: expected arrays of inputs and labels of each part, found {names}", NAMES
        )
    return {part: (arrays[found[part, False]], arrays[found[part, True]]) for part in whole}
