"""LocalDevice: this machine, through TVM, in a process of its own."""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self, TypeVar

from hardware.closing import Closing
from hardware.energy.energy import Energy
from hardware.errors import BuildError
from hardware.facts import MachineFacts
from hardware.host.attempt import Attempt
from hardware.host.worker_bench import Call, WorkerBench
from hardware.host.worker_client import WorkerClient, WorkerLateError, WorkerLostError
from hardware.kept_ruler import KeptRuler
from hardware.measuring.busy import busy_limit_s
from hardware.measuring.energy_config import EnergyConfig
from hardware.measuring.energy_gauge import open_gauge
from hardware.measuring.host_facts import moment_facts, standing_facts
from hardware.measuring.lock import timing_lock
from hardware.measuring.measurement import MeasurementSource
from hardware.measuring.protocol import ProtocolConfig
from hardware.measuring.ruler import RulerReading
from hardware.target import TargetConfig

_logger = logging.getLogger(__name__)

T = TypeVar("T")

_PATIENCE_S = 2.0
"""Longest wait for a disturbed machine before one timing; halved each time it was in vain."""
_LEAST_PATIENCE_S = 0.05
_ATTEMPTS = 2
"""A lost worker may be the machine's fault: the candidate gets a second chance, not a third."""
_LONGER = 2.0
"""How much longer a candidate may take that was given up for the time that it took."""
_LATE_HINT = "a large network, or a busy machine, may need more: --protocol.timeout-s"
_SLOWER = 10.0
"""How much slower than it was timed a program may become in an energy window."""


class LocalDevice(WorkerBench, Closing):
    """Measures on this machine, and is its own bench. A context manager; not safe for two threads.

    The calling thread must not hold `training_lock` while something is measured: a timing waits
    until no training runs on this machine.
    """

    source: MeasurementSource = "measured"
    parallel = 1

    def __init__(
        self,
        config: TargetConfig,
        protocol: ProtocolConfig,
        energy: EnergyConfig | None = None,
        ruler: KeptRuler | None = None,
    ) -> None:
        """Remember the target and how to time; the worker starts with the first call.

        Args:
            config: Kernels and their tiles.
            protocol: How programs are timed.
            energy: The meter that is read beside; None for none.
            ruler: How fast the machine was before; None for nobody who knows.

        Raises:
            TargetError: the meter is not there or cannot be read.
        """
        energy = energy or EnergyConfig()
        super().__init__(protocol, config.tune_s, energy.layer_programs if energy.known else 0)
        self.name = str(standing_facts()["cpu"])
        self._gauge = open_gauge(energy)
        self._worker = WorkerClient(config, protocol.batch)
        self._ruler = ruler
        self._best_ruler_us = math.inf if ruler is None else ruler.best_us()
        self._patience_s = _PATIENCE_S

    def facts(self) -> MachineFacts:
        """Return machine facts and versions; the first call starts the worker.

        Raises:
            HardwareLostError: the worker cannot be started.
        """
        self._worker.ensure_started()
        facts: MachineFacts = {**standing_facts(), **self._worker.facts}
        if self._gauge is not None:
            facts["energy"] = self._gauge.facts()
        return facts

    @contextmanager
    def bench(self) -> Iterator[Self]:
        """Lend the device itself."""
        yield self

    def close(self) -> None:
        """End the worker process."""
        self._worker.close()

    def hold(self, work: Callable[[Call], T]) -> T:
        """Do some work with the worker; again if it died, with more time if it was late.

        Raises:
            BuildError: the candidate is wrong, or ends the worker again.
            HardwareLostError: no worker can be started.
        """
        reason, hint, longer = "", "", 1.0
        for left in reversed(range(_ATTEMPTS)):
            try:
                return work(partial(self._call, longer))
            except WorkerLateError as error:
                reason, hint, longer = str(error), _LATE_HINT, _LONGER
                if left:
                    _logger.warning("%s: it gets %g times as long once more", reason, longer)
            except WorkerLostError as error:
                reason, hint = str(error), ""
        raise BuildError(f"{reason}, {_ATTEMPTS} times in a row", hint)

    def attempt(
        self, call: Call, method: str, *arguments: Any, patience_s: float = math.inf
    ) -> Attempt[Any]:
        """Time once, while no training runs and when the machine is as fast as at its best."""
        before = moment_facts()
        reading: RulerReading
        # The lock is taken here and not in the worker, so that waiting for a training to end does
        # not count against the candidate's limit.
        with timing_lock():
            wait_s = min(self._patience_s, patience_s)
            value, reading = call(method, *arguments, self._best_ruler_us, wait_s)
        self._best_ruler_us = self._note(reading)
        # A machine that stays disturbed must not cost the whole patience at every timing.
        self._patience_s = (
            max(self._patience_s / 2, _LEAST_PATIENCE_S)
            if reading.disturbed
            else min(self._patience_s * 2, _PATIENCE_S)
        )
        return Attempt(
            value=value,
            reading=reading,
            disturbed=reading.disturbed,
            before=before,
            after=moment_facts(),
        )

    def _note(self, reading: RulerReading) -> float:
        """Return the ruler of the machine at its best, after a reading."""
        if self._ruler is None:
            return reading.best_us
        return self._ruler.note(min(reading.before_us, reading.after_us))

    def energy(self, call: Call, one_ms: float) -> Energy | None:
        """Return the energy of one execution, read here while the worker executes.

        Raises:
            HardwareLostError: the meter does not answer any more.
        """
        if self._gauge is None:
            return None

        def execute(loops: int) -> None:
            most_s = _SLOWER * loops * one_ms / 1000.0
            self._worker.call("execute", loops, limit_s=self._limit_s() + most_s)

        with timing_lock():  # nothing else of ours may draw power, nor while the device idles
            return self._gauge.measure(execute, one_ms)

    def _call(self, longer: float, method: str, *arguments: Any) -> Any:
        return self._worker.call(method, *arguments, limit_s=longer * self._limit_s())

    def _limit_s(self) -> float:
        return busy_limit_s(self._protocol.timeout_s)
