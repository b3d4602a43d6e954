"""Which tasks there are, and how the configuration names them."""

from collections.abc import Callable
from dataclasses import dataclass

from env.errors import TaskError
from env.tasks.digits import digits_task
from env.tasks.task import Task

__all__ = ["TASKS", "TaskConfig", "load_task"]

TASKS: dict[str, Callable[[], Task]] = {"digits": digits_task}


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskConfig:
    """The network and its data."""

    name: str = "digits"
    """Name of the task; `digits` comes with scikit-learn and needs no download."""

    def __post_init__(self) -> None:
        """Refuse tasks that do not exist."""
        if self.name not in TASKS:
            raise TaskError(f"task.name: expected one of {', '.join(TASKS)}, found {self.name!r}")


def load_task(config: TaskConfig) -> Task:
    """Load a task's data and describe its network."""
    return TASKS[config.name]()
