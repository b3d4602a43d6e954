"""Player: a process of a Ray cluster that plays matches of a contest."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from experiments.settings.run_config import RunConfig
from experiments.terminal.progress import LiveProgress
from experiments.truth.contest import Match, Outcome, play
from experiments.truth.world import TruthWorld, open_world
from hardware.store import Store
from quant.errors import BitAllocError


@dataclass(frozen=True, kw_only=True, slots=True)
class ContestJob:
    """Everything but the match that decides what it comes to."""

    tables: dict[str, Path]
    """Files of the tables by name, whole paths that are the same on every machine."""
    config: RunConfig
    threads: int
    """Of PyTorch."""


class Player:
    """Plays one match after another; each comes to what it does anywhere."""

    def __init__(self, job: ContestJob) -> None:
        """Open no table yet; estimates are kept as long as this process is there."""
        torch.set_num_threads(job.threads)
        self._job, self._worlds = job, dict[str, TruthWorld]()
        self._opened = ExitStack()
        folder = self._opened.enter_context(TemporaryDirectory(prefix="bitalloc-contest-"))
        self._store = self._opened.enter_context(Store(Path(folder) / "store.sqlite"))
        self._progress = self._opened.enter_context(LiveProgress(quiet=True))

    def play(self, match: Match) -> Outcome | BitAllocError:
        """Return what a match came to; an error that a user can cause is a value, too."""
        try:
            return play(match, self._world(match.table))
        except BitAllocError as error:
            return error

    def _world(self, table: str) -> TruthWorld:
        if table not in self._worlds:
            path, config = self._job.tables[table], replace(self._job.config, quiet=True)
            self._worlds[table] = open_world(path, config, self._store, self._progress)
        return self._worlds[table]
