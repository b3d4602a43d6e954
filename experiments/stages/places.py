"""Places: where a search measures, looks things up, and writes and shows what happens."""

from dataclasses import dataclass

from experiments.record.run_folder import RunFolder
from experiments.stages.event_log import EventLog
from experiments.terminal.progress import LiveProgress
from hardware.device import Device
from hardware.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """What a search has around it."""

    device: Device
    """Measures now; a search looks in the store first."""
    store: Store
    folder: RunFolder
    events: EventLog
    progress: LiveProgress
    shared_progress: LiveProgress
    """Shows what is made once and kept for other searches too: in a comparison its own line, where
    the searches themselves are quiet."""
