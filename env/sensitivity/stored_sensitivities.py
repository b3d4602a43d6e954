"""StoredSensitivities: an estimate is made once for one network and one set of images."""

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict
from importlib.metadata import version
from typing import TypeVar

from env.evaluating.accounting import Ledger
from env.evaluating.sensitivity_config import SensitivityConfig
from env.evaluating.stored_accuracies import code_digest, network_digest
from env.tasks.task import Split
from hardware.measuring.lock import training_lock
from hardware.store import Store
from quant.network import QuantizedNetwork
from quant.progress import Progress
from quant.quantizer import WIDTHS
from quant.records.json_form import from_plain, to_plain
from quant.sensitivities import (
    Orthogonality,
    SensitivityKind,
    SensitivityTable,
    fisher_sensitivity,
    gauss_newton_sensitivity,
    hessian_sensitivity,
    measured_sensitivity,
    orthogonality,
)
from quant.sensitivities.batches import Batch, batches_of

T = TypeVar("T", SensitivityTable, Orthogonality)

_logger = logging.getLogger(__name__)

StageProgress = Callable[[str, int, int], None]
"""Called with (what is estimated, parts done, parts in all)."""


class StoredSensitivities:
    """Estimates at every width, looked up before they are made, and charged either way.

    The key is the network's weights, steps and scales, the images, the settings and the code that
    estimates; what is found was made from the same numbers, whatever task or run it was.
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        train: Split,
        config: SensitivityConfig,
        store: Store,
        ledger: Ledger,
        progress: StageProgress | None = None,
    ) -> None:
        """Keep the parts; nothing is estimated yet.

        Args:
            network: Calibrated, at the float checkpoint; not changed.
            train: The first images of it are looked at.
            config: How many, and how.
            store: Where estimates are kept.
            ledger: Charged with the samples of each estimate that was asked for, once.
            progress: Called while an estimate is made.
        """
        self._network = network
        self._train = train
        self._config = config
        self._store = store
        self._ledger = ledger
        self._progress = progress
        self._tables: dict[SensitivityKind, SensitivityTable] = {}
        self._orthogonality: Orthogonality | None = None

    def table(self, kind: SensitivityKind) -> SensitivityTable:
        """Return the rises of the loss at 2 to 8 bits, over the first training images.

        Raises:
            StoreError: the store cannot be read or written.
        """
        if kind not in self._tables:
            batches = self._batches(self._config.images)
            self._tables[kind] = self._read_or_make(
                kind, SensitivityTable, batches, lambda: self._estimate(kind, batches)
            )
            self._ledger.add(training_samples=self._tables[kind].samples)
        return self._tables[kind]

    def orthogonality(self) -> Orthogonality:
        """Return how alike the layers' features of the first training images are.

        Raises:
            StoreError: the store cannot be read or written.
        """
        if self._orthogonality is None:
            batches = self._batches(self._config.orthogonality_images)
            report = self._reporter("orthogonality")
            self._orthogonality = self._read_or_make(
                "orthogonality",
                Orthogonality,
                batches,
                lambda: orthogonality(self._network, batches, progress=report),
            )
            self._ledger.add(training_samples=self._orthogonality.samples)
        return self._orthogonality

    def _estimate(self, kind: SensitivityKind, batches: tuple[Batch, ...]) -> SensitivityTable:
        network, report = self._network, self._reporter(kind)
        if kind == "measured":
            return measured_sensitivity(network, batches, WIDTHS, progress=report)
        if kind == "gauss-newton":
            return gauss_newton_sensitivity(network, batches, WIDTHS, progress=report)
        if kind == "fisher":
            return fisher_sensitivity(network, batches, WIDTHS, progress=report)
        draws = self._config.draws
        return hessian_sensitivity(network, batches, WIDTHS, draws=draws, progress=report)

    def _read_or_make(
        self, kind: str, form: type[T], batches: tuple[Batch, ...], make: Callable[[], T]
    ) -> T:
        key = {
            "kind": kind,
            "network": network_digest(self._network),
            "images": _digest(batches),
            "config": asdict(self._config),
            "code": code_digest(),
            "torch": version("torch"),
        }
        found = self._store.get("sensitivity", key)
        if found is not None:
            return from_plain(form, found)
        with training_lock():
            made = make()
        _logger.info(
            "%s sensitivity: %d images through the network in %.1f s",
            kind,
            made.samples,
            made.seconds,
        )
        self._store.put("sensitivity", key, to_plain(made))
        return made

    def _batches(self, count: int) -> tuple[Batch, ...]:
        images, labels = self._train.images[:count], self._train.labels[:count]
        return batches_of(images, labels, self._config.batch_size)

    def _reporter(self, name: str) -> Progress | None:
        progress = self._progress
        return None if progress is None else lambda done, total: progress(name, done, total)


def _digest(batches: Iterable[Batch]) -> str:
    digest = hashlib.sha256()
    for images, labels in batches:
        digest.update(f"{list(images.shape)}\n".encode())
        digest.update(images.contiguous().numpy().tobytes())
        digest.update(labels.contiguous().numpy().tobytes())
    return digest.hexdigest()
