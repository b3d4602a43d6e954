"""StoredSensitivities: an estimate is made once for one network and one set of images."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import torch

from env.evaluating.accounting import Ledger
from env.evaluating.sensitivity_config import SensitivityConfig
from env.evaluating.training_pool import LookedAt, LossPool
from env.sensitivity.stored_estimates import StoredEstimates
from env.tasks.task import Split
from hardware.measuring.lock import training_lock
from hardware.store import Store
from quant.network import QuantizedNetwork
from quant.objective.loss import CROSS_ENTROPY, Loss
from quant.quantizer import WIDTHS
from quant.records.progress import Progress
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
from quant.sensitivities.batches import Batches, batches_of
from quant.sensitivities.hessian import hessian_traces
from quant.sensitivities.measured import LossesAt

_DIVIDED: tuple[SensitivityKind, ...] = ("measured", "hessian")
"""Kinds that go through the network often enough to be divided among others. The rest takes one
backward pass for each image: less than a single retraining."""

StageProgress = Callable[[str, int, int], None]
"""Called with (what is estimated, parts done, parts in all)."""


class StoredSensitivities:
    """Estimates at every width, looked up before they are made, and charged either way."""

    def __init__(
        self,
        network: QuantizedNetwork,
        train: Split,
        config: SensitivityConfig,
        store: Store,
        ledger: Ledger,
        progress: StageProgress | None = None,
        loss: Loss = CROSS_ENTROPY,
        pool: LossPool | None = None,
    ) -> None:
        """Keep the parts; nothing is estimated yet.

        Args:
            network: Calibrated, at the float checkpoint; not changed.
            train: The first images of it are looked at.
            config: How many, and how.
            store: Where estimates are kept.
            ledger: Charged with the samples of each estimate that was asked for, once.
            progress: Called while an estimate is made.
            loss: What rises.
            pool: Who computes what the measured kind and the Hessian are made of; None: this
                process.
        """
        self._network = network
        self._train = train
        self._config = config
        self._estimates = StoredEstimates(network, store)
        self._ledger = ledger
        self._progress = progress
        self._loss = loss
        self._pool = pool
        self._tables: dict[SensitivityKind, SensitivityTable] = {}
        self._orthogonality: Orthogonality | None = None

    def table(self, kind: SensitivityKind) -> SensitivityTable:
        """Return the rises of the loss at 2 to 8 bits, over the first training images.

        Raises:
            StoreError: the store cannot be read or written.
        """
        if kind not in self._tables:
            batches = self._batches(self._config.images)
            self._tables[kind] = self._estimates.read_or_make(
                kind,
                SensitivityTable,
                batches,
                {**asdict(self._config), "loss": self._loss.key},
                lambda: self._estimate(kind, batches),
                elsewhere=kind in _DIVIDED and self._pool is not None,
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
            self._orthogonality = self._estimates.read_or_make(
                "orthogonality",
                Orthogonality,
                batches,
                asdict(self._config),
                lambda: orthogonality(self._network, batches, progress=report),
            )
            self._ledger.add(training_samples=self._orthogonality.samples)
        return self._orthogonality

    def _estimate(self, kind: SensitivityKind, batches: Batches) -> SensitivityTable:
        network, loss, report = self._network, self._loss, self._reporter(kind)
        if kind == "measured":
            return measured_sensitivity(
                network, batches, WIDTHS, loss=loss, progress=report, losses=self._losses()
            )
        if kind == "gauss-newton":
            return gauss_newton_sensitivity(network, batches, WIDTHS, loss=loss, progress=report)
        if kind == "fisher":
            return fisher_sensitivity(network, batches, WIDTHS, loss=loss, progress=report)
        draws = self._config.draws
        if self._pool is None:
            return hessian_sensitivity(
                network, batches, WIDTHS, loss=loss, draws=draws, progress=report
            )
        elsewhere = partial(self._pool.curvatures, self._looked_at)
        traces = hessian_traces(
            network, batches, loss=loss, draws=draws, progress=report, elsewhere=elsewhere
        )
        with training_lock():  # which whoever did that on this machine needed until now
            return hessian_sensitivity(network, batches, WIDTHS, loss=loss, traces=traces)

    def _losses(self) -> LossesAt | None:
        return None if self._pool is None else partial(self._pool.losses, self._looked_at)

    @property
    def _looked_at(self) -> LookedAt:
        """The images of `_batches`, as others are asked for them."""
        numbers = torch.arange(min(self._config.images, len(self._train)))
        return LookedAt(split="train", numbers=numbers, batch=self._config.batch_size)

    def _batches(self, count: int) -> Batches:
        images, labels = self._train.images[:count], self._train.labels[:count]
        return batches_of(images, labels, self._config.batch_size)

    def _reporter(self, name: str) -> Progress | None:
        progress = self._progress
        return None if progress is None else lambda done, total: progress(name, done, total)
