"""Basis: what all retrainings of one network share, computed once and kept."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from quant.allocation import Allocation
from quant.errors import TrainingError
from quant.network import QuantizedNetwork
from quant.objective.loss import CROSS_ENTROPY, Loss
from quant.outputs import Outputs, main_tensor
from quant.records.progress import Progress, part_of
from quant.retraining.compensation import compensate
from quant.retraining.finetune import finetune, training_loss
from quant.retraining.finetune_config import FinetuneConfig
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
from quant.retraining.training_images import TrainingImages
from quant.tensors.images import Images
from quant.tensors.moving import fetch

_DEVIATION_IMAGES = 256
"""Images that the deviations of the layers' outputs are taken from."""
_TOGETHER = 250
"""Images scored at once."""
_RANGE_SEED = 0
_RANGE_TRAININGS = 2
"""Trainings of a range test: as far as the damage asks for, and further."""


class Basis:
    """The float checkpoint, the images, and what is computed of them once.

    Which images are held back, the float network's outputs, how much each layer's outputs vary, and
    how far values may move.
    """

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
        """Keep a copy of the network; nothing is computed yet.

        Args:
            network: Calibrated, at the float checkpoint: the teacher, and where each retraining
                starts that does not go on from another.
            images: Training images, float32 `[N, C, H, W]`, `[N, C, L]` or `[N, F]`, in memory or
                streamed.
            labels: `[N, ...]`, as the loss takes them.
            config: How it is trained, and how many images are held back.
            loss: What it is trained and judged by.
            augment: What changed images in the float training.
        """
        if loss.name != CROSS_ENTROPY.name or labels.ndim > 1:
            config = replace(config, scale_images=0)  # other outputs than logits mean what they are
        self.config = config
        self.loss = loss
        self.checkpoint = network.clone()
        self.checkpoint.set_allocation(None)
        self.count = len(images)
        self.data = TrainingImages(images, labels, config, self.checkpoint, augment)
        self._deviations: dict[str, float] | None = None
        self._logit_layer = logit_layer(network.graph) if config.scale_images else ""
        self._taught: torch.Tensor | None = None
        self._float_loss: float | None = None
        self._least_reach: float | None = None

    def start(self, network: QuantizedNetwork) -> float | None:
        """Bring a network to where training starts from, and return the held-back loss."""
        if self.config.compensation_images and network.allocation is not None:
            compensate(network, self.data.first(self.config.compensation_images))
        return self.settle(network)

    def finetune(
        self,
        network: QuantizedNetwork,
        reach: float,
        seed: int,
        progress: Progress | None = None,
    ) -> TrainingResult:
        """Train all steps at the network's allocation, as `quant.retraining.finetune` does."""
        return finetune(
            network,
            self.data,
            self.config,
            self.deviations(),
            reach,
            seed=seed,
            loss=self.loss,
            progress=progress,
        )

    def reach(self, start_loss: float | None, progress: Progress | None = None) -> float:
        """Return how far values move from a start of this loss, as the range test has it.

        Args:
            start_loss: Held-back loss of the start; None where nothing is held back.
            progress: Called with (steps done, steps in all) of the range test, where it is done
                now, and of the one training after it.
        """
        return max(self.least_reach(progress), reach_of(start_loss, self.float_held_back_loss()))

    @property
    def trainings_before(self) -> int:
        """How many trainings the range test still has to do before the first of a candidate."""
        return _RANGE_TRAININGS if self._least_reach is None and self.config.tests_range else 0

    def least_reach(self, progress: Progress | None = None) -> float:
        """Return what the range test says, done once; `progress` as for `reach`."""
        if self._least_reach is None:
            self._least_reach = self._test_range(progress)
        return self._least_reach

    def _test_range(self, progress: Progress | None) -> float:
        """Do the range test, which depends on nothing that was trained before."""
        if not self.config.tests_range:
            return 0.0
        start = self.checkpoint.clone()
        start.set_allocation(Allocation.uniform(start.layers, RANGE_BITS))
        start_loss = finite(self.start(start))
        if start_loss is None:
            return 0.0
        damage_reach = reach_of(start_loss, self.float_held_back_loss())
        parts = iter(range(_RANGE_TRAININGS))

        def held_back_loss(least_reach: float) -> float | None:
            network = start.clone()
            try:
                self.finetune(
                    network,
                    max(least_reach, damage_reach),
                    _RANGE_SEED,
                    part_of(progress, next(parts), _RANGE_TRAININGS + 1),
                )
                return self.settle(network)
            except TrainingError:
                return None

        return find_least_reach(held_back_loss, start_loss)

    def deviations(self) -> dict[str, float]:
        """Return how much each layer's outputs vary in float, by layer."""
        if self._deviations is None:
            self._deviations = output_deviations(
                self.checkpoint, self.data.first(_DEVIATION_IMAGES)
            )
        return self._deviations

    @torch.no_grad()
    def settle(self, network: QuantizedNetwork) -> float | None:
        """Fit the logits where that lowers the held-back loss, and return that loss.

        None where nothing is held back, or nothing will be compared with it.
        """
        layer = self._logit_layer
        if not may_be_fitted(network, layer):
            return self.held_back_loss(network)
        network.eval()
        fit = self._logit_fit(network)
        if not len(self.data.held_back[1]):
            apply_fit(network, layer, fit)
            return None
        loss, fitted = self._with_and_without(as_integers(network, layer, fit), network)
        if fitted < loss:
            apply_fit(network, layer, fit)
        return min(fitted, loss) if self.config.steps else None

    def _logit_fit(self, network: QuantizedNetwork) -> LogitFit:
        count, weight = self.config.scale_images, self.config.teacher_weight
        images, labels = self.data.first(count), self.data.first_labels(count)
        if weight and self._taught is None:
            self._taught = _in_parts(self.checkpoint.float_outputs, images)
        taught, loss = self._taught, self.loss
        return fit_logits(
            _in_parts(network, images),
            lambda logits: training_loss(logits, labels, taught, loss, weight),
        )

    def _with_and_without(
        self, fit: LogitFit, network: Callable[[torch.Tensor], Outputs]
    ) -> tuple[float, float]:
        """Return the held-back losses of a network's logits as they are, and fitted."""
        images, labels = self.data.held_back
        logits = _in_parts(network, images)
        loss, fitted = (
            float(self.loss.each(each, labels).mean()) for each in (logits, fit.of(logits))
        )
        return loss, fitted

    @torch.no_grad()
    def float_held_back_loss(self) -> float | None:
        """Return the loss that no bits are to blame for: in float, the logits fitted."""
        if self._float_loss is None:
            loss = self.held_back_loss(self.checkpoint)
            if loss is not None and self._logit_layer:
                fit = self._logit_fit(self.checkpoint)
                _, fitted = self._with_and_without(fit, self.checkpoint)
                loss = min(loss, fitted)
            self._float_loss = loss
        return self._float_loss

    @torch.no_grad()
    def held_back_loss(self, network: QuantizedNetwork) -> float | None:
        """Return the mean loss on the held-back images; None without such or steps."""
        images, labels = self.data.held_back
        if not len(labels) or not self.config.steps:
            return None
        network.eval()
        parts = zip(images.split(_TOGETHER), labels.split(_TOGETHER), strict=True)
        losses = [fetch(self.loss.each(network(part), wanted)) for part, wanted in parts]
        return float(torch.cat(losses).mean())


def _in_parts(network: Callable[[torch.Tensor], Outputs], images: Images) -> torch.Tensor:
    """Return the logits of all images on the CPU, `[N, classes]`."""
    return torch.cat([fetch(main_tensor(network(part))) for part in images.split(_TOGETHER)])


def finite(loss: float | None) -> float | None:
    """Return a loss that is a number, else None."""
    return loss if loss is not None and math.isfinite(loss) else None
