"""Retrainer: training that never hurts. What it reached is kept only where it is better."""

import math

import torch

from quant.errors import TrainingError
from quant.network import QuantizedNetwork
from quant.objective.loss import CROSS_ENTROPY, Loss
from quant.records.progress import Progress, part_of
from quant.retraining.basis import Basis, finite
from quant.retraining.finetune_config import FinetuneConfig, held_back_count, images_seen
from quant.retraining.loop import Augment
from quant.retraining.retrained import Retrained
from quant.tensors.images import Images


class Retrainer:
    """Retrains a network at one allocation after another; made once for a run."""

    def __init__(
        self,
        network: QuantizedNetwork,
        images: Images,
        labels: torch.Tensor,
        config: FinetuneConfig,
        *,
        loss: Loss = CROSS_ENTROPY,
        augment: Augment | None = None,
    ) -> None:
        """Keep a copy of the network; nothing is computed yet. Arguments are those of `Basis`."""
        self.basis = Basis(network, images, labels, config, loss=loss, augment=augment)

    @property
    def config(self) -> FinetuneConfig:
        """How it is trained."""
        return self.basis.config

    def images_seen(self, *, carried_on: bool = False) -> int:
        """Return how many training images one retraining looks at, repeats counted.

        One that is carried on is compared with the checkpoint rounded to the nearest, too.
        """
        once_more = carried_on and self.config.steps > 0
        held_back = held_back_count(self.config, self.basis.count)
        return images_seen(self.config, self.basis.count) + (held_back if once_more else 0)

    def reset(self, network: QuantizedNetwork) -> None:
        """Put a network of the same kind back to the float checkpoint; its allocation stays."""
        network.load_state_dict(self.basis.checkpoint.state_dict())

    def retrain(
        self, network: QuantizedNetwork, *, seed: int, progress: Progress | None = None
    ) -> Retrained:
        """Compensate, train and judge, in place.

        Equal networks and seeds give equal results to the bit on one machine.

        Args:
            network: At the float checkpoint, with an allocation set (float works too).
            seed: Orders the images.
            progress: Called with (steps done, steps in all), those of the range test among them
                where this is the first retraining.

        Raises:
            TrainingError: weights or values are not finite before the first step; or after, where
                no images are held back.
        """
        start_loss = self.basis.start(network)
        start = network.copy_state()
        retrained = self._train(network, start_loss, seed, progress)
        if retrained.kept == "start":
            network.load_state_dict(start)
        return retrained

    def carry_on(
        self, network: QuantizedNetwork, *, seed: int
    ) -> tuple[QuantizedNetwork, Retrained]:
        """Train on, in place, and compare with the float checkpoint at the same bits.

        Args:
            network: Trained before at other bits, with an allocation set. It goes on from here at
                the next bits. Where even the checkpoint rounded to the nearest is better, it is put
                back to the float checkpoint: weights that have fallen behind are not carried on.
            seed: Orders the images.

        Returns:
            The better of the two, which is `network` itself where that is, and what became of it.

        Raises:
            TrainingError: as for `retrain`.
        """
        if self.config.steps and not self.config.held_back_images:
            self.basis.start(network)
            return network, self._train(network, None, seed, None)
        fresh = self.basis.checkpoint.clone()
        fresh.set_allocation(network.allocation)
        nearest_loss = self.basis.held_back_loss(fresh)
        retrained = self._train(network, self.basis.start(fresh), seed, None)
        if retrained.kept == "trained":
            return network, retrained
        reached = retrained.trained_loss
        if nearest_loss is not None and (reached is None or reached > nearest_loss):
            self.reset(network)
        return fresh, retrained

    def _train(
        self,
        network: QuantizedNetwork,
        start_loss: float | None,
        seed: int,
        progress: Progress | None,
    ) -> Retrained:
        """Train, and say whether the network is now better than the start's loss."""
        config = self.config
        if not config.steps:
            return Retrained(kept="start")
        if start_loss is not None and not math.isfinite(start_loss):
            raise TrainingError(
                f"expected a finite loss before retraining, found {start_loss}",
                "look for weights or inputs that are not finite, or out of all proportion",
            )
        before = self.basis.trainings_before
        reach, trained_loss, loss = self.basis.reach(start_loss, progress), None, None
        try:
            rest = part_of(progress, before, before + 1)
            loss = self.basis.finetune(network, reach, seed, rest).loss
            trained_loss = self.basis.settle(network)
        except TrainingError:
            network.eval()
            if start_loss is None:
                raise
        if start_loss is None:
            return Retrained(kept="trained", loss=loss, reach=reach)
        better = trained_loss is not None and trained_loss < start_loss
        return Retrained(
            loss=loss,
            kept="trained" if better else "start",
            start_loss=start_loss,
            trained_loss=finite(trained_loss),
            reach=reach,
        )
