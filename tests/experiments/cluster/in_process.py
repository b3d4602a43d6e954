"""A crew whose workers are objects of this process: all of a cluster's work without a cluster."""

from collections.abc import Callable
from typing import Any

from env.evaluating.training_pool import WorkersConfig
from quant.errors import BitAllocError


class Done:
    """A piece of work that is done when somebody waits for it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work

    def result(self) -> Any:
        value = self.work()
        if isinstance(value, BitAllocError):
            raise value
        return value


class InProcess:
    """Stands for `Crew`: each piece is the next worker's, whoever had the one before."""

    def __init__(
        self, config: WorkersConfig, kind: type, held: Any, *, threads: int, device: str = "cpu"
    ) -> None:
        self.size = config.workers
        self.workers = [kind(held) for _ in range(config.workers)]
        self.asked: list[str] = []

    def ask(self, method: str, *arguments: Any) -> Done:
        worker = self.workers[len(self.asked) % self.size]
        self.asked.append(method)
        return Done(lambda: getattr(worker, method)(*arguments))

    def close(self) -> None:
        self.workers.clear()
