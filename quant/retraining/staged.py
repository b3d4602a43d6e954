"""Staged retraining: the steps of one retraining spread over the decisions of an episode.

What is not decided yet has 8 bits. After each decision its layers are rounded there and the network
is trained its share of the steps, so that what the decision costs is seen before the next one.
"""

import copy
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice, pairwise

import torch

from quant.allocation import Allocation
from quant.errors import TrainingError
from quant.network import QuantizedNetwork
from quant.retraining.basis import Basis, finite
from quant.retraining.compensation import compensate
from quant.retraining.finetune import train_steps
from quant.retraining.finetune_config import (
    LOOK_IMAGES,
    FinetuneConfig,
    held_back_count,
    images_seen,
)
from quant.retraining.loop import index_batches
from quant.retraining.rates import reach_of
from quant.retraining.retrained import Retrained
from quant.tensors.moving import fetch

_REACH_IMAGES = 256


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Look:
    """What is seen after one decision and its share of the steps."""

    losses: torch.Tensor
    """Of each held-back image that is looked at, float32 `[N]`."""

    @property
    def loss(self) -> float:
        """Their mean."""
        return float(self.losses.mean())


class StagedRetraining:
    """One retraining, decision by decision; made anew for each allocation.

    Equal decisions and seeds give equal results to the bit on one machine, and those of the first
    decisions do not depend on what is decided later.
    """

    def __init__(self, basis: Basis, *, decisions: int, seed: int) -> None:
        """Start at the float checkpoint, all-8.

        Args:
            basis: The checkpoint, the images and the configuration.
            decisions: How many there will be.
            seed: Orders the images.

        Raises:
            TrainingError: no images are held back to look at.
        """
        if not len(basis.data.held_back[1]):
            raise TrainingError(
                "expected images that are held back to look at during the retraining, found none",
                "allow some with --env.finetune.held-back-images",
            )
        self.network = basis.checkpoint.clone()
        self._basis = basis
        self._shares = _shares(basis.config.steps, decisions)
        generator = torch.Generator().manual_seed(seed)
        batches = index_batches(len(basis.data), basis.config.batch_size, generator)
        self._batches = list(islice(batches, basis.config.steps))
        self._decided = 0
        self._loss: float | None = None
        self._reach: float | None = None
        self._whole: float | None = None

    def fork(self) -> "StagedRetraining":
        """Return another retraining that goes on from here; what was done so far is shared work."""
        twin = copy.copy(self)
        twin.network = self.network.clone()
        return twin

    def decide(self, allocation: Allocation, layers: Collection[str]) -> Look:
        """Bring layers to their bits, train the decision's share of the steps, and look.

        Args:
            allocation: What is decided so far; 8 bits for what is not.
            layers: Those that the decision is about: whose weights it decides, or which read the
                tensor that it decides.

        Raises:
            TrainingError: weights or values are not finite.
        """
        config = self._basis.config
        self.network.set_allocation(allocation)
        if config.compensation_images:
            compensate(
                self.network,
                self._basis.data.first(config.compensation_images),
                teacher=self._basis.checkpoint,
                layers=layers,
            )
        share = self._shares[self._decided]
        self._decided += 1
        if len(share):
            self._train(share)
        return self.look()

    def look(self) -> Look:
        """Return what is seen of the network as it is, which stays so."""
        count = min(LOOK_IMAGES, len(self._basis.data.held_back[1]))
        return Look(losses=self._losses(self.network, count))

    def finish(self) -> Retrained:
        """Judge what was reached beside the start of a retraining after the last decision.

        The network is put there where that is better: compensated at once, and trained no step.
        """
        start = self._basis.checkpoint.clone()
        start.set_allocation(self.network.allocation)
        retrained = self.judge(finite(self._basis.start(start)))
        if retrained.kept == "start":
            self.network.load_state_dict(start.state_dict())
        return retrained

    def judge(self, start_loss: float | None) -> Retrained:
        """Say whether what was reached is better than a start with this held-back loss."""
        trained_loss = finite(self._basis.settle(self.network))
        better = trained_loss is not None and (start_loss is None or trained_loss < start_loss)
        return Retrained(
            loss=self._loss,
            kept="trained" if better else "start",
            start_loss=start_loss,
            trained_loss=trained_loss,
            reach=self._reach,
        )

    def _train(self, share: range) -> None:
        basis, config = self._basis, self._basis.config
        damaged = float(self._losses(self.network, _REACH_IMAGES).mean())
        self._reach = max(basis.least_reach(), reach_of(damaged, self._float_loss()))
        trained = train_steps(
            self.network,
            basis.data,
            config,
            basis.deviations(),
            self._reach,
            iter(self._batches[share.start : share.stop]),
            steps=len(share),
            warm_up_steps=round(config.warm_up_steps * len(share) / config.steps),
            loss=basis.loss,
        )
        self._loss = trained.loss

    def _float_loss(self) -> float:
        """Return the float network's loss on the images that the reach is found by."""
        if self._whole is None:
            self._whole = float(self._losses(self._basis.checkpoint, _REACH_IMAGES).mean())
        return self._whole

    @torch.no_grad()
    def _losses(self, network: QuantizedNetwork, count: int) -> torch.Tensor:
        """Return the loss of each of the first held-back images, on the CPU, float32 `[count]`."""
        images, labels = (part[:count] for part in self._basis.data.held_back)
        network.eval()
        losses = fetch(self._basis.loss.each(network(images), labels))
        if not losses.isfinite().all():
            raise TrainingError(
                "expected finite losses during the retraining, found others",
                "lower the learning rate, or look for weights out of all proportion",
            )
        return losses


def staged_images_seen(config: FinetuneConfig, count: int, decisions: int) -> int:
    """Return how many of `count` training images a staged retraining looks at, repeats counted.

    It is trained on as many as one that is not staged. For each decision weights are rounded over
    images, and held-back ones are looked at, once more before the first.
    """
    held_back = held_back_count(config, count)
    trained = sum(len(share) > 0 for share in _shares(config.steps, decisions))
    looked = (decisions + 1) * min(LOOK_IMAGES, held_back) + trained * min(_REACH_IMAGES, held_back)
    rounded = decisions * min(config.compensation_images, count - held_back)
    return images_seen(config, count) + looked + rounded


def _shares(steps: int, decisions: int) -> list[range]:
    """Return each decision's share of the steps, as equal as whole numbers can be."""
    ends = [steps * number // decisions for number in range(decisions + 1)]
    return [range(first, last) for first, last in pairwise(ends)]
