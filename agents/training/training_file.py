"""TrainingFile: a method's own network and notes on the disk, for a run that is resumed."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

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
        temporary = self._path.with_name(f"part-{self._path.name}")
        torch.save({"network": network.state_dict(), "notes": json.dumps(notes)}, temporary)
        os.replace(temporary, self._path)

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
