"""RayPool: candidates that are retrained by the machines of a cluster.

Each worker holds the float checkpoint and the data, and returns an integer network with its scores.
"""

from collections.abc import Iterator, Sequence

import torch

from env.evaluating.training_pool import LookedAt, TrainedCandidate, WorkersConfig
from experiments.cluster.crew import Crew, Piece
from experiments.cluster.training_actor import TrainingActor, TrainingJob
from quant.allocation import Allocation
from quant.sensitivities.curvatures import Curvatures, Signs

_PIECES = 4
"""Pieces for each worker that an estimate is divided into, so that all end at about once."""


class RayPool:
    """Retrains candidates, and computes losses, by workers of a Ray cluster."""

    def __init__(self, config: WorkersConfig, job: TrainingJob) -> None:
        """Join the cluster and start the workers; they hold the job from then on.

        Raises:
            ConfigError: Ray is not installed, no cluster answers, or it can retrain nothing.
        """
        self._crew = Crew(config, TrainingActor, job, threads=job.threads, device=job.config.device)

    @property
    def workers(self) -> int:
        """How many are retrained at once."""
        return self._crew.size

    def submit(self, allocation: Allocation, repeat: int) -> Piece[TrainedCandidate]:
        """Ask for the retraining of an allocation."""
        return self._crew.ask("train", allocation, repeat)

    def losses(self, images: LookedAt, allocations: Sequence[Allocation]) -> Iterator[float]:
        """Yield the mean loss on images at each allocation, in this order."""
        size = -(-len(allocations) // (_PIECES * self.workers))
        parts = (allocations[first : first + size] for first in range(0, len(allocations), size))
        for piece in [self._crew.ask("losses", images, part) for part in parts]:
            yield from piece.result()

    def curvatures(
        self, images: LookedAt, signs: Signs, batches: int, blocks: int
    ) -> Iterator[Curvatures]:
        """Yield the curvatures of so many blocks on each of so many batches, in this order.

        A batch is divided where there are fewer of them than pieces; each piece runs it anew.
        """
        size = -(-blocks // -(-_PIECES * self.workers // batches))
        parts = [range(blocks)[first : first + size] for first in range(0, blocks, size)]
        asked: list[list[Piece[Curvatures]]] = [
            [self._crew.ask("curvatures", images, signs, number, part) for part in parts]
            for number in range(batches)
        ]
        for pieces in asked:
            found = [piece.result() for piece in pieces]
            yield Curvatures(loss=found[0].loss, found=torch.cat([one.found for one in found], 1))

    def close(self) -> None:
        """End the workers, and leave the cluster; one that was started here ends with that."""
        self._crew.close()
