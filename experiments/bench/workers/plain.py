"""Plain processes: the trainings that workers of a cluster do, without the cluster."""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from experiments.cluster.ray_extra import import_ray
from experiments.cluster.training_actor import TrainingActor, TrainingJob
from quant.allocation import Allocation
from quant.errors import BitAllocError


class PlainProcesses:
    """Processes that each hold the job, and train what they are sent."""

    def __init__(self, pipes: Sequence["Connection[Any, Any]"]) -> None:
        """Wait until all of them are there."""
        self._pipes = pipes
        for pipe in pipes:
            pipe.recv()

    def train(self, allocations: Sequence[Allocation]) -> float:
        """Have each process train its share, side by side; return the seconds until all are done.

        Raises:
            BitAllocError: one of them cannot be trained.
        """
        started = time.perf_counter()
        for place, pipe in enumerate(self._pipes):
            pipe.send(allocations[place :: len(self._pipes)])
        failures = [pipe.recv() for pipe in self._pipes]
        seconds = time.perf_counter() - started
        for failure in failures:
            if failure is not None:
                raise failure
        return seconds


@contextmanager
def plain_processes(count: int, job: TrainingJob) -> Iterator[PlainProcesses]:
    """Have so many processes for a while; they are started anew, as a cluster's are."""
    packed = import_ray().cloudpickle.dumps(job)
    context = multiprocessing.get_context("spawn")
    pipes, started = [], []
    for _ in range(count):
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(there, packed), daemon=True)
        process.start()
        there.close()
        pipes.append(here)
        started.append(process)
    try:
        yield PlainProcesses(pipes)
    finally:
        for pipe in pipes:
            pipe.close()  # which ends its process
        for process in started:
            process.join()


def _work(pipe: "Connection[Any, Any]", packed: bytes) -> None:
    actor = TrainingActor(import_ray().cloudpickle.loads(packed))
    pipe.send(None)
    while True:
        try:
            allocations = pipe.recv()
        except EOFError:
            return
        found = [actor.train(allocation, 0) for allocation in allocations]
        pipe.send(next((each for each in found if isinstance(each, BitAllocError)), None))
