"""EnvSensitivities: what environments show of the loss, measured for whoever makes one."""

import time
from functools import partial

from env.sensitivity.stored_estimates import StoredEstimates
from experiments.record import files
from experiments.stages.network_setup import NetworkSetup
from experiments.stages.places import Places
from experiments.terminal.progress import LiveProgress
from hardware.store import Store
from quant.sensitivities import SensitivityTable, measured_sensitivity
from quant.sensitivities.batches import batches_of

_BATCH = 256


class EnvSensitivities:
    """How much the loss rises with each tensor at each width, on the whole search split.

    That takes minutes on a large split, so it waits until an environment is made: many methods make
    none. It belongs to the network and not to a method, so no ledger is charged, and a store that
    other runs share keeps it.
    """

    def __init__(self, setup: NetworkSetup, places: Places) -> None:
        """Keep the parts; nothing is measured yet."""
        self._setup = setup
        self._places = places
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
                    self._setup, self._places.store, self._places.shared_progress
                )
                folder.write_json(files.SENSITIVITIES, self._table)
            self.seconds += time.monotonic() - started
        return self._table


def search_split_sensitivity(
    setup: NetworkSetup, store: Store, progress: LiveProgress
) -> SensitivityTable:
    """Return the rises of the loss over the search split: the store's, else measured now.

    Raises:
        StoreError: the store cannot be read or written.
    """
    network, task, widths = setup.network, setup.task, setup.widths
    loss = task.objective.loss
    batches = batches_of(task.search.images, task.search.labels, _BATCH)
    report = partial(progress.stage, "sensitivities")
    return StoredEstimates(network, store).read_or_make(
        "measured",
        SensitivityTable,
        batches,
        {"widths": widths, "loss": loss.key},
        lambda: measured_sensitivity(network, batches, widths, loss=loss, progress=report),
    )
