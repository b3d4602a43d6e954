"""Data of a file: arrays that numpy or safetensors wrote, read without running anything in it."""

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
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
    with _damage_named(file):
        check_data_file(file)
        read = _read_npz if file.suffix.lower() == ".npz" else load_file
        arrays: dict[str, Any] = dict(read(file))
    return _paired(arrays, file)


def check_data_file(file: Path, most_bytes: int = MOST_BYTES) -> None:
    """Refuse a file without reading its arrays.

    Args:
        file: As of `read_data_file`.
        most_bytes: Of all arrays together, unpacked.

    Raises:
        DataError: as of `read_data_file`.
    """
    with _damage_named(file):
        check_regular(file)
        if file.suffix.lower() == ".npz":
            names = list(_npz_names(file, most_bytes))
        else:
            _check_size(file, file.stat().st_size, most_bytes)
            with safe_open(file, "pt") as opened:
                names = list(opened.keys())
    _paired({name: None for name in names}, file)


@contextmanager
def _damage_named(file: Path) -> Iterator[None]:
    """Say of whatever a damaged file raises that it is damaged, in one sentence."""
    try:
        yield
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


def _check_size(file: Path, found: int, most_bytes: int) -> None:
    if found > most_bytes:
        raise DataError(f"{file} unpacks to {found:,} bytes, and at most {most_bytes:,} are read")


def _npz_names(file: Path, most_bytes: int) -> Iterator[str]:
    """Yield the names of an archive's arrays, none of which is larger than the archive says."""
    with zipfile.ZipFile(file) as archive:
        _check_size(file, sum(part.file_size for part in archive.infolist()), most_bytes)
        for part in archive.infolist():
            name = part.filename.removesuffix(".npy")
            with archive.open(part) as opened:
                _check_header(opened, part.file_size, name, file)
            yield name


def _read_npz(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of an archive whose headers were looked at."""
    with zipfile.ZipFile(file) as archive:
        for part in archive.infolist():
            with archive.open(part) as opened:
                array = np.lib.format.read_array(opened, allow_pickle=False)
            yield part.filename.removesuffix(".npy"), array


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
