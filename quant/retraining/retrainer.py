"""Retrainer: training that never hurts. What it reached is kept only where it is better."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from quant.allocation import Allocation
from quant.errors import TrainingError
from quant.network import QuantizedNetwork
from quant.objective.loss import CROSS_ENTROPY, Loss
from quant.outputs import Outputs, main_tensor
from quant.progress import Progress
from quant.retraining.compensation import compensate
from quant.retraining.finetune import finetune, training_loss
from quant.retraining.finetune_config import FinetuneConfig, held_back_count, images_seen
from quant.retraining.logit_fit import (
    LogitFit,
    apply_fit,
    as_integers,
    fit_logits,
    logit_layer,
    may_be_fitted,
)
from quant.retraining.loop import Augment, TrainingResult
from quant.retraining.range_test import RANGE_BITS, find_least_reach
from quant.retraining.rates import output_deviations, reach_of
from quant.retraining.retrained import Retrained
from quant.retraining.training_images import TrainingImages

_DEVIATION_IMAGES = 256
"""Images that the deviations of the layers' outputs are taken from."""
_TOGETHER = 250
"""Images scored at once."""
_RANGE_SEED = 0


class Retrainer:
    """Retrains a network at one allocation after another; made once for a run.

    What all allocations share is computed once and kept: which images are held back, the float
    network's outputs, how much each layer's outputs vary, and how far values may move.
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        images: torch.Tensor,
        labels: torch.Tensor,
        config: FinetuneConfig,
        *,
        loss: Loss = CROSS_ENTROPY,
        augment: Augment | None = None,
    ) -> None:
        """Keep a copy of the network; nothing is computed yet.

        Args:
            network: Calibrated, at the float checkpoint: the teacher, and where each retraining
                starts that does not go on from another.
            images: Training images, float32 `[N, C, H, W]`, `[N, C, L]` or `[N, F]`.
            labels: `[N, ...]`, as the loss takes them.
            config: How it is trained, and how many images are held back.
            loss: What it is trained and judged by.
            augment: What changed images in the float training.
        """
        if loss.name != CROSS_ENTROPY.name or labels.ndim > 1:
            config = replace(config, scale_images=0)  # other outputs than logits mean what they are
        self.config = config
        self._loss = loss
        self._checkpoint = network.clone()
        self._checkpoint.set_allocation(None)
        self._count = len(images)
        self._data = TrainingImages(images, labels, config, self._checkpoint, augment)
        self._deviations: dict[str, float] | None = None
        self._logit_layer = logit_layer(network.graph) if config.scale_images else ""
        self._taught: torch.Tensor | None = None
        self._float_loss: float | None = None
        self._least_reach: float | None = None

    def images_seen(self, *, carried_on: bool = False) -> int:
        """Return how many training images one retraining looks at, repeats counted.

        One that is carried on is compared with the checkpoint rounded to the nearest, too.
        """
        once_more = carried_on and self.config.steps > 0
        held_back = held_back_count(self.config, self._count)
        return images_seen(self.config, self._count) + (held_back if once_more else 0)

    def reset(self, network: QuantizedNetwork) -> None:
        """Put a network of the same kind back to the float checkpoint; its allocation stays."""
        network.load_state_dict(self._checkpoint.state_dict())

    def retrain(
        self, network: QuantizedNetwork, *, seed: int, progress: Progress | None = None
    ) -> Retrained:
        """Compensate, train and judge, in place.

        Equal networks and seeds give equal results to the bit on one machine.

        Args:
            network: At the float checkpoint, with an allocation set (float works too).
            seed: Orders the images.
            progress: Called with (steps done, steps in all).

        Raises:
            TrainingError: weights or values are not finite before the first step; or after, where
                no images are held back.
        """
        start_loss = self._start(network)
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
            self._start(network)
            return network, self._train(network, None, seed, None)
        fresh = self._checkpoint.clone()
        fresh.set_allocation(network.allocation)
        nearest_loss = self._held_back_loss(fresh)
        retrained = self._train(network, self._start(fresh), seed, None)
        if retrained.kept == "trained":
            return network, retrained
        reached = retrained.trained_loss
        if nearest_loss is not None and (reached is None or reached > nearest_loss):
            self.reset(network)
        return fresh, retrained

    def _start(self, network: QuantizedNetwork) -> float | None:
        """Bring a network to where training starts from, and return the held-back loss."""
        if self.config.compensation_images and network.allocation is not None:
            compensate(network, self._data.first(self.config.compensation_images))
        return self._settle(network)

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
        reach, trained_loss, loss = self._reach(start_loss), None, None
        try:
            loss = self._finetune(network, reach, seed, progress).loss
            trained_loss = self._settle(network)
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
            trained_loss=_finite(trained_loss),
            reach=reach,
        )

    def _finetune(
        self,
        network: QuantizedNetwork,
        reach: float,
        seed: int,
        progress: Progress | None = None,
    ) -> TrainingResult:
        return finetune(
            network,
            self._data,
            self.config,
            self._spread(),
            reach,
            seed=seed,
            loss=self._loss,
            progress=progress,
        )

    def _reach(self, start_loss: float | None) -> float:
        """Return how far values move from a start of this loss, as the range test has it."""
        if self._least_reach is None:
            self._least_reach = self._test_range()
        return max(self._least_reach, reach_of(start_loss, self._float_held_back_loss()))

    def _test_range(self) -> float:
        """Do the range test, which depends on nothing that was trained before."""
        if not self.config.tests_range:
            return 0.0
        start = self._checkpoint.clone()
        start.set_allocation(Allocation.uniform(start.layers, RANGE_BITS))
        start_loss = _finite(self._start(start))
        if start_loss is None:
            return 0.0
        damage_reach = reach_of(start_loss, self._float_held_back_loss())

        def held_back_loss(least_reach: float) -> float | None:
            network = start.clone()
            try:
                self._finetune(network, max(least_reach, damage_reach), _RANGE_SEED)
                return self._settle(network)
            except TrainingError:
                return None

        return find_least_reach(held_back_loss, start_loss)

    def _spread(self) -> dict[str, float]:
        if self._deviations is None:
            self._deviations = output_deviations(
                self._checkpoint, self._data.first(_DEVIATION_IMAGES)
            )
        return self._deviations

    @torch.no_grad()
    def _settle(self, network: QuantizedNetwork) -> float | None:
        """Fit the logits where that lowers the held-back loss, and return that loss.

        None where nothing is held back, or nothing will be compared with it.
        """
        layer = self._logit_layer
        if not may_be_fitted(network, layer):
            return self._held_back_loss(network)
        network.eval()
        fit = self._logit_fit(network)
        if not len(self._data.held_back[1]):
            apply_fit(network, layer, fit)
            return None
        loss, fitted = self._with_and_without(as_integers(network, layer, fit), network)
        if fitted < loss:
            apply_fit(network, layer, fit)
        return min(fitted, loss) if self.config.steps else None

    def _logit_fit(self, network: QuantizedNetwork) -> LogitFit:
        count, weight = self.config.scale_images, self.config.teacher_weight
        images, labels = self._data.first(count), self._data.first_labels(count)
        if weight and self._taught is None:
            self._taught = _in_parts(self._checkpoint.float_outputs, images)
        taught, loss = self._taught, self._loss
        return fit_logits(
            _in_parts(network, images),
            lambda logits: training_loss(logits, labels, taught, loss, weight),
        )

    def _with_and_without(
        self, fit: LogitFit, network: Callable[[torch.Tensor], Outputs]
    ) -> tuple[float, float]:
        """Return the held-back losses of a network's logits as they are, and fitted."""
        images, labels = self._data.held_back
        logits = _in_parts(network, images)
        loss, fitted = (
            float(self._loss.each(each, labels).mean()) for each in (logits, fit.of(logits))
        )
        return loss, fitted

    @torch.no_grad()
    def _float_held_back_loss(self) -> float | None:
        """Return the loss that no bits are to blame for: in float, the logits fitted."""
        if self._float_loss is None:
            loss = self._held_back_loss(self._checkpoint)
            if loss is not None and self._logit_layer:
                fit = self._logit_fit(self._checkpoint)
                _, fitted = self._with_and_without(fit, self._checkpoint)
                loss = min(loss, fitted)
            self._float_loss = loss
        return self._float_loss

    @torch.no_grad()
    def _held_back_loss(self, network: QuantizedNetwork) -> float | None:
        """Return the mean loss on the held-back images; None without such or steps."""
        images, labels = self._data.held_back
        if not len(labels) or not self.config.steps:
            return None
        network.eval()
        parts = zip(images.split(_TOGETHER), labels.split(_TOGETHER), strict=True)
        losses = [self._loss.each(network(part), wanted) for part, wanted in parts]
        return float(torch.cat(losses).mean())


def _in_parts(network: Callable[[torch.Tensor], Outputs], images: torch.Tensor) -> torch.Tensor:
    """Return the logits of all images, `[N, classes]`."""
    return torch.cat([main_tensor(network(part)) for part in images.split(_TOGETHER)])


def _finite(loss: float | None) -> float | None:
    return loss if loss is not None and math.isfinite(loss) else None
