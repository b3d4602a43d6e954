"""Crew: processes of a Ray cluster that hold what their work needs, and do one piece after another.

What a piece comes to depends on the piece alone, so that one whose process or machine was lost is
done again by another and comes to the same.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from env.evaluating.training_pool import WorkersConfig
from experiments.cluster.loss import Loss, loss_of, no_machine
from experiments.cluster.ray_extra import connect
from experiments.cluster.same_program import HOST, asked_of_workers, check_same, is_elsewhere
from experiments.errors import ConfigError
from quant.errors import BitAllocError, DataError

_logger = logging.getLogger(__name__)

T = TypeVar("T")

TRAIN = "train"
"""The resource of machines that may retrain, where any of the cluster has it."""
_RESTARTS = 20
"""Times that a worker's process is started anew, here or on another machine."""
_LOSSES = 5
"""Workers that may be lost with one piece of work; then it is not tried again."""
_AHEAD = 2
"""Pieces that a worker has at once: the next one waits there while this process is busy."""
_LOST_S = 600.0
"""Seconds without any worker, after which the work stops; it can be gone on with."""
_LOOK_S = 5.0


class Piece(Generic[T]):
    """One piece of work that a crew was asked for."""

    def __init__(self, crew: "Crew", method: str, arguments: tuple[Any, ...]) -> None:
        """Keep what is asked; nobody has begun."""
        self._crew = crew
        self.method, self.arguments = method, arguments
        self.losses = 0
        """Workers that were lost with it."""
        self.done = False
        self.value: T | BitAllocError | None = None
        """What it came to, once it is done."""

    def result(self) -> T:
        """Return what it came to; as long as workers are left that could do it, wait.

        Raises:
            BitAllocError: what the work itself came to.
            HardwareLostError: there was no worker for ten minutes, or each that tried was lost.
        """
        self._crew.finish(self)
        if isinstance(self.value, BitAllocError):
            raise self.value
        assert self.value is not None
        return self.value

    def cancel(self) -> None:
        """Take it off its worker's list; one that has begun is finished for nobody."""
        self._crew.forget(self)


@dataclass(kw_only=True, slots=True)
class _Worker:
    """One process of the cluster, wherever it is at the time."""

    actor: Any
    ready: Any
    """Ray's promise of what it says of its machine; None while it answers."""
    facts: dict[str, str] = field(default_factory=dict)
    """What it said."""
    doing: dict[Any, Piece[Any]] = field(default_factory=dict)
    """What it was given, in this order, by Ray's promise of the result."""


class Crew:
    """Gives pieces of work to the workers that answer."""

    def __init__(
        self, config: WorkersConfig, kind: type, held: object, *, threads: int, device: str = "cpu"
    ) -> None:
        """Join the cluster and start the workers.

        Args:
            config: The cluster, and how many.
            kind: Of the workers; each is made of `held`.
            held: What they hold from then on, sent to a machine once.
            threads: Processors that each takes.
            device: A CUDA device has each take a GPU.

        Raises:
            ConfigError: Ray is not installed, no cluster answers, or no machine of it is large
                enough.
        """
        self._ray = ray = connect(config.ray, config.workers * threads)
        needs = _needs(ray, threads, device)
        try:
            _check_needs(ray, needs)
        except ConfigError:
            ray.shutdown()
            raise
        # A piece is done again by whoever is free, not by the one that was lost with it: Ray would
        # have it wait until that one has a place again, and there may be none.
        actor = ray.remote(
            max_restarts=_RESTARTS, max_task_retries=0, scheduling_strategy="SPREAD", **needs
        )(kind)
        self._held = ray.put(held)  # as long as the crew lives: who is started anew reads it again
        self._workers = [self._begin(actor.remote(self._held)) for _ in range(config.workers)]
        self._waiting: deque[Piece[Any]] = deque()
        self.size = config.workers
        """Workers that it has while none is lost."""

    def ask(self, method: str, *arguments: object) -> Piece[Any]:
        """Ask for what a method of the workers makes of arguments.

        An error that is a piece's own is to be returned by it, not raised.
        """
        piece = Piece[Any](self, method, arguments)
        self._waiting.append(piece)
        self._look(0)
        return piece

    def finish(self, piece: Piece[Any], now: Callable[[], float] = time.monotonic) -> None:
        """Return when a piece is done.

        Raises:
            HardwareLostError: there was no worker for ten minutes, or none can come back.
            ConfigError: none can begin, or one has another program than this machine.
        """
        alone_since: float | None = None
        while not piece.done:
            self._look(_LOOK_S)
            if any(worker.ready is None for worker in self._workers):
                alone_since = None
                continue
            alone_since = now() if alone_since is None else alone_since
            if now() - alone_since > _LOST_S:
                raise no_machine()

    def forget(self, piece: Piece[Any]) -> None:
        """Have a piece done by nobody."""
        if piece in self._waiting:
            self._waiting.remove(piece)
        for worker in self._workers:
            for promise, given in list(worker.doing.items()):
                if given is piece:
                    del worker.doing[promise]
                    self._ray.cancel(promise, force=False)

    def close(self) -> None:
        """End the workers, and leave the cluster; one that was started here ends with that."""
        for worker in self._workers:
            self._ray.kill(worker.actor)
        self._ray.shutdown()

    def _begin(self, actor: Any) -> _Worker:
        """Return a worker that answers as soon as its process is there, again and again."""
        asked = actor.__ray_call__.options(max_task_retries=-1).remote(asked_of_workers())
        return _Worker(actor=actor, ready=asked)

    def _look(self, timeout_s: float) -> None:
        """Give out what waits, and take in what is done; wait for the first of it."""
        self._give_out()
        promised = [
            promise
            for worker in self._workers
            for promise in (*worker.doing, *([] if worker.ready is None else [worker.ready]))
        ]
        if not promised:
            return
        first, _ = self._ray.wait(promised, num_returns=1, timeout=timeout_s)
        if not first:
            return
        done, _ = self._ray.wait(promised, num_returns=len(promised), timeout=0)
        for worker in list(self._workers):
            self._take_in(worker, set(done))
        self._give_out()

    def _give_out(self) -> None:
        while self._waiting:
            free = [w for w in self._workers if w.ready is None and len(w.doing) < _AHEAD]
            if not free:
                return
            worker = min(free, key=lambda each: len(each.doing))
            piece = self._waiting.popleft()
            promise = getattr(worker.actor, piece.method).remote(*piece.arguments)
            worker.doing[promise] = piece

    def _take_in(self, worker: _Worker, done: set[Any]) -> None:
        """Take in what one worker did, or that it was lost."""
        try:
            if worker.ready in done:
                worker.facts = self._ray.get(worker.ready)
                check_same(worker.facts)
                worker.ready = None
            for promise in [promise for promise in worker.doing if promise in done]:
                value = self._ray.get(promise)
                piece = worker.doing.pop(promise)
                piece.value, piece.done = _where(value, worker), True
        except Exception as error:
            loss = loss_of(self._ray, error)
            if loss is None:
                raise
            _logger.warning(
                "a worker of the Ray cluster was lost: %s", " ".join(str(error).split())
            )
            self._replace(worker, loss)

    def _replace(self, worker: _Worker, loss: Loss) -> None:
        """Give a lost worker's pieces to others, and wait for it to come back where it can."""
        pieces = list(worker.doing.values())
        if loss.memory:  # it may live, and have the next piece before it
            for promise in worker.doing:
                self._ray.cancel(promise, force=False)
        worker.doing.clear()
        if pieces:
            pieces[0].losses += 1  # the others had not begun
            if pieces[0].losses == _LOSSES:
                pieces[0].value = loss.of_piece
                pieces.pop(0).done = True
        self._waiting.extendleft(reversed(pieces))
        if worker.ready is None:
            worker.ready = self._begin(worker.actor).ready
            return
        self._workers.remove(worker)  # it is not started again
        if not self._workers:
            raise loss.of_last


def _where(value: Any, worker: _Worker) -> Any:
    """Return what a piece came to; what is wrong with files is said with the machine's name."""
    if isinstance(value, DataError) and is_elsewhere(worker.facts):
        return DataError(f"{value.message}, on {worker.facts[HOST]}", value.hint)
    return value


def _needs(ray: Any, threads: int, device: str) -> dict[str, Any]:
    """Return what one worker takes of a machine."""
    needs: dict[str, Any] = {"num_cpus": threads}
    if device.startswith("cuda"):
        needs["num_gpus"] = 1
    if TRAIN in ray.cluster_resources():
        needs["resources"] = {TRAIN: 1}
    return needs


def _check_needs(ray: Any, needs: dict[str, Any]) -> None:
    """Refuse a cluster in which a worker would wait for ever."""
    wanted = {"CPU": needs["num_cpus"], "GPU": needs.get("num_gpus", 0)}
    wanted |= needs.get("resources", {})
    for node in ray.nodes():
        if node["Alive"] and all(
            node["Resources"].get(kind, 0) >= count for kind, count in wanted.items()
        ):
            return
    shown = ", ".join(f"{count:g} {kind}" for kind, count in wanted.items() if count)
    raise ConfigError(
        f"train.ray: expected a machine of the cluster with {shown} for each worker, found none",
        "ray status shows what there is; OMP_NUM_THREADS says how many CPUs a worker takes",
    )
