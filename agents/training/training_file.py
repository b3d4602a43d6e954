"""TrainingFile: a method's own network and notes on the disk, for a run that is resumed."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from quant.atomic_file import atomic_file
from quant.network import QuantizedNetwork

__all__ = ["TrainingFile"]

_logger = logging.getLogger(__name__)


class TrainingFile:
    """One file in a run's state folder: the weights as they were, and what JSON holds."""

    def __init__(self, folder: Path | None, name: str) -> None:
        """Name the file; without a folder nothing is kept."""
        self._path = None if folder is None else folder / f"{name}.pt"

    def save(self, network: QuantizedNetwork, notes: Mapping[str, Any]) -> None:
        """Write both in one step."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self._path) as made:
            torch.save({"network": network.state_dict(), "notes": json.dumps(notes)}, made)

    def load(self, network: QuantizedNetwork) -> dict[str, Any] | None:
        """Bring the network to where it was and return the notes, or None.

        A missing or damaged file costs the training and nothing else: the real evaluations are
        kept elsewhere.
        """
        if self._path is None or not self._path.exists():
            return None
        before = {name: value.clone() for name, value in network.state_dict().items()}
        try:
            found = torch.load(self._path, weights_only=True)
            notes: dict[str, Any] = json.loads(found["notes"])
            network.load_state_dict(found["network"])
        except Exception as error:
            _logger.warning("the saved training cannot be read, it begins again: %r", error)
            network.load_state_dict(before)
            return None
        return notes
