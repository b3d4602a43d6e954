"""TrainingFile: what a method has learnt, on the disk, for a run that is resumed."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from quant.records.regular_file import check_regular
from quant.records.strict_json import parse_json
from quant.records.tensor_file import write_tensors
from quant.tensors.moving import fetch

NamedTensors = Mapping[str, torch.Tensor]
Learnt = tuple[dict[str, torch.Tensor], dict[str, Any]]
"""Tensors by name, and notes that JSON holds."""


class TrainingFile:
    """`NAME.safetensors` in a run's state folder, its notes in the header.

    Reading it executes nothing. A missing or damaged file costs what was learnt and nothing else:
    the real evaluations are kept elsewhere.
    """

    def __init__(self, folder: Path | None, name: str, say: Callable[[str], None]) -> None:
        """Name the file.

        Args:
            folder: None keeps nothing.
            name: Of the method.
            say: Tells the user, in a sentence, what is lost.
        """
        self._path = None if folder is None else folder / f"{name}.safetensors"
        self._say = say

    def save(self, tensors: NamedTensors, notes: Mapping[str, Any]) -> None:
        """Write both in one step."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fetched = {name: fetch(tensor) for name, tensor in tensors.items()}
        write_tensors(self._path, fetched, metadata={"notes": json.dumps(notes)})

    def load(self, like: NamedTensors) -> Learnt | None:
        """Return what was saved, or None where there is nothing that can be used.

        Args:
            like: Tensors that must be there in the same shape.
        """
        if self._path is None:
            return None
        try:
            tensors, notes = _read(self._path)
            for name, tensor in like.items():
                if tensors[name].shape != tensor.shape:
                    raise ValueError(f"{name} has another shape")
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever a torn file looks like to the readers of two formats
            self._say(f"{self._path} cannot be read and its training begins again: {error!r}")
            return None
        return tensors, notes


def _read(path: Path) -> Learnt:
    before = path.with_suffix(".pt")  # of earlier versions; only tensors and texts are read
    if before.exists() and not path.exists():
        check_regular(before)
        document = torch.load(before, weights_only=True)
        return document["network"], parse_json(document["notes"])
    check_regular(path)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, parse_json(file.metadata()["notes"])
