"""EnvSensitivities: what environments show of the loss, measured for whoever makes one."""

import time
from functools import partial

import torch

from env.evaluating.training_pool import LookedAt, LossPool
from env.sensitivity.stored_estimates import StoredEstimates
from env.tasks import Split
from experiments.record import files
from experiments.stages.network_setup import NetworkSetup
from experiments.stages.places import Places
from experiments.terminal.progress import LiveProgress
from hardware.store import Store
from quant.sensitivities import SensitivityTable, measured_sensitivity
from quant.sensitivities.batches import batches_of

_BATCH = 256
_STREAMED = 2048
"""Images that are looked at of a split that streams: each goes through the network once for each
tensor and width."""


class EnvSensitivities:
    """How much the loss rises with each tensor at each width, on the whole search split.

    Of one that streams on 2,048 images, from its first to its last at equal distances. That takes
    minutes on a large split, so it waits until an environment is made: many methods make none. It
    belongs to the network and not to a method, so no ledger is charged, and a store that other runs
    share keeps it.
    """

    def __init__(self, setup: NetworkSetup, places: Places, pool: LossPool | None = None) -> None:
        """Keep the parts; nothing is measured yet.

        Args:
            setup: The network and its search split.
            places: The run's folder, and a store.
            pool: Who computes the losses; None: this process.
        """
        self._setup = setup
        self._places = places
        self._pool = pool
        self._table: SensitivityTable | None = None
        self.seconds = 0.0
        """Wall seconds that reading or measuring took so far."""

    def table(self) -> SensitivityTable:
        """Return the rises: the run folder's, else the store's, else measured now.

        What is not the folder's yet is written there. A resumed run keeps its own, so that what a
        policy has learnt goes on with the numbers it was learnt from.

        Raises:
            RunFolderError: the folder's file is damaged, or cannot be written.
            StoreError: the store cannot be read or written.
        """
        if self._table is None:
            started, folder = time.monotonic(), self._places.folder
            self._table = folder.record.sensitivity
            if self._table is None:
                self._table = search_split_sensitivity(
                    self._setup, self._places.store, self._places.shared_progress, self._pool
                )
                folder.write_json(files.SENSITIVITIES, self._table)
            self.seconds += time.monotonic() - started
        return self._table


def search_split_sensitivity(
    setup: NetworkSetup, store: Store, progress: LiveProgress, pool: LossPool | None = None
) -> SensitivityTable:
    """Return the rises of the loss over the search split: the store's, else measured now.

    Args:
        setup: The network and its search split.
        store: Where they are kept.
        progress: Shows the measuring.
        pool: Who computes the losses; None: this process.

    Raises:
        StoreError: the store cannot be read or written.
    """
    network, task, widths = setup.network, setup.task, setup.widths
    loss = task.objective.loss
    numbers = _looked_at(task.search)
    search = task.search if numbers is None else task.search.pick(numbers)
    looked_at = LookedAt(split="search", numbers=numbers, batch=_BATCH)
    losses = None if pool is None else partial(pool.losses, looked_at)
    batches = batches_of(search.images, search.labels, _BATCH)
    report = partial(progress.stage, "sensitivities")
    return StoredEstimates(network, store).read_or_make(
        "measured",
        SensitivityTable,
        batches,
        {"widths": widths, "loss": loss.key},
        lambda: measured_sensitivity(
            network, batches, widths, loss=loss, progress=report, losses=losses
        ),
        elsewhere=pool is not None,
    )


def _looked_at(search: Split) -> torch.Tensor | None:
    """Return the numbers of the images that are looked at, int64; None for all."""
    if isinstance(search.images, torch.Tensor) or len(search) <= _STREAMED:
        return None
    return torch.linspace(0, len(search) - 1, _STREAMED).long()
