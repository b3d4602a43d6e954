"""TrainingPool: others that retrain candidates, while this process measures and decides."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from env.errors import TaskError
from env.evaluating.staged_trainings import LookLosses
from quant.allocation import Allocation
from quant.deploy_graph import DeployGraph
from quant.objective.scores import ImageScores
from quant.records.ranges import Count, check_ranges
from quant.retraining.retrained import Retrained
from quant.sensitivities.curvatures import Curvatures, Signs


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkersConfig:
    """Who retrains candidates: this process, or others that Ray starts (docs/scale.md)."""

    ray: str = ""
    """Address of a Ray cluster, HOST:PORT, whose machines retrain candidates; `auto` is the one
    that this machine belongs to, or else one that is started here for this run, for this machine
    alone. Empty: this process retrains them. Needs pip install 'bitalloc[ray]'."""
    workers: Count = 1
    """Processes of the cluster that retrain at once."""
    proposals: Count = 1
    """Allocations that a method proposes at once, before it sees what they come to, where it can:
    as many as are to be retrained at once. It changes the search, and `workers` does not."""

    def __post_init__(self) -> None:
        """Refuse numbers that are none, and workers that nobody starts."""
        check_ranges(self, "train.", TaskError)
        if self.workers > 1 and not self.ray:
            raise TaskError(
                f"train.workers: {self.workers} of them need a Ray cluster, found none named",
                "give --train.ray auto, or the address of one",
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainedCandidate:
    """The end of one retraining."""

    graph: DeployGraph
    scores: ImageScores
    retraining: Retrained
    looks: LookLosses | None = None
    """None where it was not staged."""
    seconds: float = 0.0
    """That it took elsewhere; 0 where it was done here."""


class Training(Protocol):
    """One retraining that was asked for."""

    def result(self) -> TrainedCandidate:
        """Return what it came to, once it has.

        Raises:
            TrainingError: weights or values are not finite.
            ConvertError: it has no integer form.
            HardwareLostError: nobody is left who could do it.
        """

    def cancel(self) -> None:
        """Say that nobody waits for it any more."""


class TrainingPool(Protocol):
    """Retrains candidates from the float checkpoint; equal ones come to the same, whoever does."""

    @property
    def workers(self) -> int:
        """How many are retrained at once."""

    def submit(self, allocation: Allocation, repeat: int) -> Training:
        """Ask for the retraining of an allocation."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LookedAt:
    """Images that losses are computed of."""

    split: Literal["train", "search"]
    numbers: torch.Tensor | None
    """Of the images in the split, int64 `[M]`; None for all."""
    batch: int
    """Images that go through the network together."""


class LossPool(Protocol):
    """Computes losses, and their second derivatives, of the network at the float checkpoint."""

    def losses(self, images: LookedAt, allocations: Sequence[Allocation]) -> Iterator[float]:
        """Yield the mean loss on images at each allocation, in this order.

        Raises:
            HardwareLostError: nobody is left who could do it.
        """

    def curvatures(
        self, images: LookedAt, signs: Signs, batches: int, blocks: int
    ) -> Iterator[Curvatures]:
        """Yield what `quant.sensitivities.curvatures` does of so many batches and blocks.

        Raises:
            HardwareLostError: nobody is left who could do it.
        """


class Pool(TrainingPool, LossPool, Protocol):
    """Others who do all that."""
