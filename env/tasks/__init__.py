"""Tasks: a data set, a network, and how its float version is trained."""

from env.tasks.checkpoint import checkpoint_path, float_module
from env.tasks.load_task import load_task
from env.tasks.task import Split, Task
from env.tasks.task_config import TASKS, TaskConfig

__all__ = [
    "TASKS",
    "Split",
    "Task",
    "TaskConfig",
    "checkpoint_path",
    "float_module",
    "load_task",
]
