"""Task: a data set split three ways, and the network that is trained on it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from env.tasks.preprocessing import Preprocessing
from env.tasks.weights.fit import Weights
from quant.objective.objective import CLASSIFICATION, Objective
from quant.retraining.float_training import TrainConfig
from quant.retraining.loop import Augment
from quant.tensors.images import subset

HELD_OUT = "held out of the training images, as nobody gave one"
"""Where a search split came from that the data did not bring."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Images and labels of one part of a data set; neither changes in place."""

    images: Any
    """`Images`: float32 `[N, C, H, W]`, `[N, C, L]` or `[N, F]`, normalised, in memory or streamed.
    Not typed as such: where they are in memory, they are tensors to whoever made them."""
    labels: torch.Tensor
    """int64 `[N]` of classes, or what the task's objective takes, `[N, ...]`."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """Differs where images or labels do; computed once, as all images are read for it."""
        digest = hashlib.sha256(str(tuple(self.images.shape)).encode())
        if isinstance(self.images, torch.Tensor):
            digest.update(self.images.contiguous().numpy().data)
        else:
            digest.update(self.images.digest.encode())
        digest.update(self.labels.contiguous().numpy().data)
        return digest.hexdigest()

    def pick(self, numbers: torch.Tensor) -> "Split":
        """Return some of it, by numbers int64 `[M]`."""
        return Split(images=subset(self.images, numbers), labels=self.labels[numbers])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Task:
    """What is learned, by what network, and how its float version is trained."""

    name: str
    network: str
    """What the network is called; checkpoints are kept by it."""
    classes: int
    """Number of logits."""
    make_module: Callable[[], nn.Module]
    """Returns the untrained network; seed torch before calling it."""
    recipe: TrainConfig
    """How the float network is trained."""
    train: Split
    search: Split
    """Held out of training; every decision of a search is made on it."""
    test: Split
    """Only `experiments.evaluate` may look at it, and methods on a table of truth, whose rows are
    scored on the search split."""
    objective: Objective = CLASSIFICATION
    """Loss and metric."""
    augment: Augment | None = None
    """Changes batches of the float training."""
    weights: Weights | None = None
    """Trained weights of a file, in place of a training."""
    search_origin: str = "given as such"
    """Where the search split came from, in words."""
    labels: tuple[str, ...] = ()
    """What each logit stands for; empty where nobody said."""
    preprocessing: Preprocessing | None = None
    """How an image becomes an input; None where nobody said."""
    notes: tuple[str, ...] = ()
    """What was made of the user's data and weights that they may not expect, in sentences."""

    @property
    def example(self) -> torch.Tensor:
        """One input, for capturing the network."""
        example: torch.Tensor = self.train.images[:1]
        return example
