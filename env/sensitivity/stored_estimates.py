"""StoredEstimates: what was estimated from equal numbers is read, and made but once."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

from env.evaluating.stored_accuracies import code_digest, network_digest
from hardware.measuring.lock import training_lock
from hardware.store import Store
from quant.network import QuantizedNetwork
from quant.records.json_form import from_plain, to_plain
from quant.sensitivities import Orthogonality, SensitivityTable
from quant.sensitivities.batches import Batches, StreamedBatches

T = TypeVar("T", SensitivityTable, Orthogonality)

_logger = logging.getLogger(__name__)


class StoredEstimates:
    """Estimates of one network, kept in a store.

    The key is the network's weights, steps and scales, the images, the settings and the code that
    estimates; what is found was made from the same numbers, whatever task or run it was.
    """

    def __init__(self, network: QuantizedNetwork, store: Store) -> None:
        """Keep both; the network is calibrated, and not changed as long as this is used."""
        self._network = network
        self._store = store

    def read_or_make(
        self,
        kind: str,
        form: type[T],
        batches: Batches,
        settings: Mapping[str, Any],
        make: Callable[[], T],
        *,
        elsewhere: bool = False,
    ) -> T:
        """Return the estimate that the store has, or make it and keep it.

        Args:
            kind: What is estimated.
            form: What it is kept as.
            batches: The images and labels that are looked at, in batches as they are.
            settings: Whatever else decides it.
            make: Called where the store has none, under the training lock.
            elsewhere: Others do the work, and take the lock of their machines: this may be one.

        Raises:
            StoreError: the store cannot be read or written.
        """
        key = {
            "kind": kind,
            "network": network_digest(self._network),
            "images": _digest(batches),
            "config": dict(settings),
            "code": code_digest(),
            "torch": version("torch"),
        }
        found = self._store.read("sensitivity", key, partial(from_plain, form))
        if found is not None:
            return found
        with nullcontext() if elsewhere else training_lock():
            made = make()
        _logger.info(
            "%s sensitivity: %d images through the network in %.1f s",
            kind,
            made.samples,
            made.seconds,
        )
        self._store.put("sensitivity", key, to_plain(made))
        return made


def _digest(batches: Batches) -> str:
    digest = hashlib.sha256()
    if isinstance(batches, StreamedBatches):
        digest.update(f"{batches.images.digest} {batches.size}\n".encode())
        digest.update(batches.labels.numpy().tobytes())
        return digest.hexdigest()
    for images, labels in batches:
        digest.update(f"{list(images.shape)}\n".encode())
        digest.update(images.contiguous().numpy().tobytes())
        digest.update(labels.contiguous().numpy().tobytes())
    return digest.hexdigest()
