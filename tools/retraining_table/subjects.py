"""Subjects: the networks of the table, each named as a user would name it to the main job."""

import os
from dataclasses import dataclass
from typing import Literal

from env.tasks import TaskConfig
from experiments.settings.run_config import RunConfig
from tools.retraining_table.data import SHARED_DATA

SubjectName = Literal["depthwise", "raw", "resnet20", "published"]

_HERE = "tools.retraining_table"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A network that was trained elsewhere, and its data."""

    name: SubjectName
    title: str
    model: str
    """`package.module:function`; returns it trained."""
    data: str
    """`package.module:function`."""
    rival_batch: int = 128
    """Images in a step of the recipe at absolute rates."""
    needs_shared_data: bool = False

    @property
    def config(self) -> RunConfig:
        """What `--method uniform` runs on it, with defaults for all but the task."""
        task = TaskConfig(name="own", model=self.model, data=self.data, epochs=0)
        return RunConfig(method="uniform", task=task)

    @property
    def missing(self) -> str:
        """Why it cannot be measured here; empty where it can."""
        if self.needs_shared_data and not os.environ.get(SHARED_DATA):
            return f"{SHARED_DATA} does not name the folder of the published files"
        return ""


SUBJECTS = (
    Subject(
        name="depthwise",
        title="depthwise net",
        model=f"{_HERE}.networks:depthwise",
        data=f"{_HERE}.data:fashion_mnist",
    ),
    Subject(
        name="raw",
        title="ResNet-8 that reads 0..255",
        model=f"{_HERE}.networks:raw_resnet8",
        data=f"{_HERE}.data:raw_fashion_mnist",
    ),
    Subject(
        name="resnet20",
        title="ResNet-20, trained by Adam",
        model=f"{_HERE}.networks:resnet20",
        data=f"{_HERE}.data:fashion_mnist",
    ),
    Subject(
        name="published",
        title="published ResNet-20, CIFAR-10",
        model=f"{_HERE}.networks:published_resnet20",
        data=f"{_HERE}.data:published_cifar",
        rival_batch=64,
        needs_shared_data=True,
    ),
)
"""In the order they are measured in: the quickest first."""
