"""Which tasks there are, and how the configuration names them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from env.errors import TaskError
from env.tasks.digits import digits_task
from env.tasks.fashion_mnist import fashion_mnist_task
from env.tasks.networks.catalogue import NETWORKS, network_maker
from env.tasks.task import Task

__all__ = ["TASKS", "TaskConfig", "load_task"]


def _digits(folder: Path | None) -> Task:
    if folder is not None:
        raise TaskError(
            f"task.data: the digits come with scikit-learn and take no folder, found {folder}"
        )
    return digits_task()


TASKS: dict[str, Callable[[Path | None], Task]] = {
    "digits": _digits,
    "fashion-mnist": fashion_mnist_task,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskConfig:
    """The network and its data."""

    name: str = "digits"
    """Name of the task: `digits` comes with scikit-learn, `fashion-mnist` reads four files."""
    network: str = ""
    """Name of the network, for example `resnet20` or `mobilenetv2`; empty means the task's own."""
    data: str = ""
    """Folder of the task's data files; empty means where the task expects them."""

    def __post_init__(self) -> None:
        """Refuse tasks that do not exist."""
        if self.name not in TASKS:
            raise TaskError(f"task.name: expected one of {', '.join(TASKS)}, found {self.name!r}")
        if self.network and self.network not in NETWORKS:
            raise TaskError(
                f"task.network: expected one of {', '.join(NETWORKS)}, found {self.network!r}"
            )


def load_task(config: TaskConfig) -> Task:
    """Load a task's data and describe its network.

    Raises:
        DataError: a data file is missing, truncated or not what it claims.
        TaskError: a folder was given for a task that has none.
    """
    task = TASKS[config.name](Path(config.data) if config.data else None)
    if config.network:
        channels = task.example.shape[1]
        maker = network_maker(config.network, in_channels=channels, classes=task.classes)
        task = replace(task, network=config.network, make_module=maker)
    return task
