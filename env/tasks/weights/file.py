"""Reading a file of weights without running anything in it; what is none is one sentence."""

import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from quant.errors import DataError

SAVE = 'torch.save(network.state_dict(), "weights.pt")'
_WANTED = f"give a state dict that safetensors wrote, or {SAVE}"
_LFS = b"version https://git-lfs"
_HEAD = 512
"""Bytes that are enough to tell what a file is."""
_PIECE = 1 << 22


class Placeholder:
    """Stands for an object of a class that is not believed: what is no tensor is never made."""

    class_name = ""
    """Of what it stands for, for example `models.Net`."""

    def __init__(self, *arguments: object, **keywords: object) -> None: ...

    def __setstate__(self, state: object) -> None:
        """Forget what the object held."""


def read_document(file: Path) -> Any:
    """Return what a file holds: tensors, numbers and their containers, and placeholders.

    Args:
        file: What safetensors or `torch.save` wrote.

    Raises:
        DataError: there is no such file, it is something else, or it is damaged.
    """
    head = _head(file)
    try:
        if head[8:9] == b"{" and int.from_bytes(head[:8], "little") > 1:
            return load_file(file)
        unknown = get_unsafe_globals_in_checkpoint(file) if head.startswith(b"PK") else []
        with warnings.catch_warnings(), safe_globals([(_stand_in(n), n) for n in unknown]):
            warnings.simplefilter("ignore")  # torch's, of how files of before were written
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # torch advises here to run what is in the file: nobody should.
        raise DataError(
            f"{file} is damaged, or holds other objects than tensors and numbers", _WANTED
        ) from None
    except Exception as error:  # a damaged pickle raises nearly anything
        first = next(iter(str(error).splitlines()), type(error).__name__)
        reason = "" if "weights_only" in first else f": {first}"
        raise DataError(
            f"{file} is damaged, or no file of safetensors or torch.save{reason}", _WANTED
        ) from None


def _head(file: Path) -> bytes:
    """Return a file's first bytes, of one that may hold weights."""
    if not file.exists():
        raise DataError(f"cannot read the weights {file}: no such file", _WANTED)
    if not file.is_file():
        kind = "a folder" if file.is_dir() else "no regular file"
        raise DataError(f"cannot read the weights {file}: it is {kind}", _WANTED)
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError as error:
        raise DataError(f"cannot read the weights {file}: {error.strerror}", _WANTED) from None
    if not head:
        raise DataError(f"the weights {file} are an empty file", "copy or download it again")
    if head.startswith(_LFS):
        raise DataError(
            f"{file} is a pointer of git-lfs, not the weights themselves",
            "fetch what it points to: git lfs pull",
        )
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise DataError(
            f"{file} is a web page (HTML), not the weights themselves",
            "download the file that the page links to",
        )
    if head.startswith(b"PK"):
        _check_archive(file)
    return head


def _check_archive(file: Path) -> None:
    """Refuse archives that torch writes beside those of `torch.save`."""
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
    except Exception:  # a damaged end raises nearly anything
        raise DataError(
            f"{file} is damaged: its end is missing", "copy or download it again"
        ) from None
    inside = {part.filename.partition("/")[2] for part in parts}
    if not any(name.endswith(".pkl") for name in inside) and "archive_format" not in inside:
        raise DataError(f"{file} is an archive of other files, not of torch.save", _WANTED)
    if "constants.pkl" in inside or any(name.startswith("code/") for name in inside):
        raise DataError(
            f"{file} is a TorchScript program, not a state dict",
            f'save its weights: torch.save(torch.jit.load("{file.name}").state_dict(), '
            '"weights.pt")',
        )
    if "archive_format" in inside:
        raise DataError(
            f"{file} is a program of torch.export, not a state dict",
            f'save its weights: torch.save(torch.export.load("{file.name}").state_dict, '
            '"weights.pt")',
        )
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise DataError(f"{file} is a compressed archive, and torch.save compresses none", _WANTED)
    _check_sums(file)


def _check_sums(file: Path) -> None:
    """Compare the parts of an archive with their sums, at which torch does not look."""
    try:
        with zipfile.ZipFile(file) as archive:
            for part in archive.infolist():
                with archive.open(part) if part.CRC else nullcontext() as opened:
                    while opened is not None and opened.read(_PIECE):
                        pass  # it raises at the end where the sum is another one
    except Exception as error:
        raise DataError(
            f"{file} is damaged, its parts are not what their sums say: {error}",
            "copy or download it again",
        ) from None


def _stand_in(name: str) -> Callable[..., object]:
    """Return what is called in place of a class or function that a file names."""
    if name == "collections.defaultdict":
        return _plain_dictionary
    return type("Placeholder", (Placeholder,), {"class_name": name})


def _plain_dictionary(*arguments: object) -> OrderedDict[object, object]:
    """Return a dictionary that makes no values by itself."""
    return OrderedDict()
