"""StoredAccuracies: retraining from one fixed checkpoint is paid for once, whoever asks.

Only for evaluations that all start from the same weights: with weights shared between
evaluations, an accuracy depends on every evaluation before it.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import quant
from hardware.store import Store
from quant.allocation import Allocation
from quant.network import QuantizedNetwork
from quant.records.json_form import from_plain, to_plain
from quant.records.source_digest import digest_of_folder
from quant.retraining.accuracy import Accuracy


def network_digest(network: QuantizedNetwork) -> str:
    """Return a digest of a network's weights, steps and scales."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


@cache
def code_digest() -> str:
    """Return a digest of the sources that retrain and score, so that no edit keeps old results."""
    return digest_of_folder(Path(quant.__file__).parent)


class StoredAccuracies:
    """Accuracies by allocation, under everything else that decides them."""

    def __init__(self, store: Store, key: Mapping[str, Any]) -> None:
        """Keep the store and the part of the key that is the same for all allocations."""
        self._store = store
        self._key = dict(key)

    def get(self, allocation: Allocation) -> Accuracy | None:
        """Return the accuracy of an equal retraining, or None."""
        found = self._store.get("evaluation", self._whole(allocation))
        return None if found is None else from_plain(Accuracy, found)

    def put(self, allocation: Allocation, accuracy: Accuracy) -> None:
        """Keep an accuracy."""
        self._store.put("evaluation", self._whole(allocation), to_plain(accuracy))

    def _whole(self, allocation: Allocation) -> dict[str, Any]:
        return {**self._key, "allocation": allocation.to_dict()}
