"""Networks: the layers of uploaded networks, which a process of its own finds in their files."""

import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import psutil

from experiments.service.errors import RefusedError
from experiments.service.store.uploads import NETWORKS, Uploads
from experiments.service.work.admission import UPLOADED
from experiments.service.work.isolation import can_leave_network, leave_network
from experiments.service.work.kept import environment
from experiments.service.work.outcome import last_sentence
from experiments.terminal.exit_codes import DONE
from experiments.zero_shot.network_facts import NetworkFacts, facts_from
from quant.records.strict_json import parse_json

_MOST_S = 120.0
_LOOK_S = 0.1
_KEPT = 64


class Networks:
    """Knows the layers of networks that somebody asked about; one file is read at a time."""

    def __init__(self, uploads: Uploads, memory_bytes: int) -> None:
        """Use the uploads of a service.

        Args:
            uploads: Where the files are.
            memory_bytes: The most that reading one may take.
        """
        self._uploads, self._memory_bytes = uploads, memory_bytes
        self._known: OrderedDict[tuple[str, tuple[int, ...]], NetworkFacts] = OrderedDict()
        self._looking, self._reading = threading.Lock(), threading.Lock()

    def known(self, name: str, shape: Sequence[int]) -> NetworkFacts | None:
        """Return the layers of an upload that was read before; None where it was not, at once."""
        key = (name, tuple(shape))
        with self._looking:
            if key in self._known:
                self._known.move_to_end(key)
            return self._known.get(key)

    def facts(self, name: str, shape: Sequence[int]) -> NetworkFacts:
        """Return the layers of an upload: at once where it was asked about, else after seconds.

        Args:
            name: `sha256:...`.
            shape: Sizes of one input; empty where the file says them.

        Raises:
            RefusedError: there is no such upload, or it cannot be taken.
        """
        if (found := UPLOADED.fullmatch(name)) is None:
            raise RefusedError(
                f"network: expected sha256:DIGEST of an upload, found {name!r}",
                "POST /v1/networks takes the file",
            )
        path = self._uploads.path(NETWORKS, found[1])
        with self._reading:
            facts = self.known(name, shape)
            if facts is None:
                facts = self._read(path, shape)
                with self._looking:
                    self._known[name, tuple(shape)] = facts
                    if len(self._known) > _KEPT:
                        self._known.popitem(last=False)
        return facts

    def _read(self, path: Path, shape: Sequence[int]) -> NetworkFacts:
        words = ["-P", "-m", "experiments.zero_shot", str(path), *map(str, shape)]
        process = subprocess.Popen(
            [sys.executable, *words],
            env=environment(None),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=leave_network if can_leave_network() else None,
        )
        until_s = time.monotonic() + _MOST_S
        while True:
            try:
                printed, said = process.communicate(timeout=_LOOK_S)
                break
            except subprocess.TimeoutExpired:
                taken = psutil.Process(process.pid).memory_info().rss
                if time.monotonic() > until_s or taken > self._memory_bytes:
                    process.kill()
        if process.returncode < 0:
            raise RefusedError("the network took too much time or memory to be read")
        if process.returncode != DONE:
            sentences = last_sentence(said.decode("utf-8", "replace").splitlines())
            # Where it lies here is nothing to its owner.
            raise RefusedError(*(each.replace(str(path), "the network") for each in sentences))
        return facts_from(parse_json(printed), "the network")
