"""FinetuneConfig: how a network is retrained at the bits of one allocation."""

from dataclasses import dataclass
from typing import Annotated, Literal

from quant.errors import TrainingError
from quant.records.ranges import (
    Count,
    Natural,
    NotNegative,
    Range,
    Share,
    at_least,
    check_ranges,
    more_than,
)

LOOK_IMAGES = 512
"""Held-back images that looks are taken on, the same for all networks and decisions."""
_BELOW_1 = Range("0 or more and less than 1", lambda value: 0 <= value < 1)
_STEP_SHARE = 0.1
"""Steps of quantizers move by this share of an absolute rate where they are given none: a step
that has changed changes what every code of its tensor means."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneConfig:
    """How a network is retrained at the bits of one allocation.

    Without rates each value moves in proportion to its own scale (`quant.retraining.rates`), so
    that one recipe serves every network. `held_back_images` decide whether the training is kept.
    """

    steps: Natural = 60
    """Optimizer steps for each evaluation."""
    batch_size: Count = 64
    """Images in a step."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """`sgd`: plain descent with momentum, which needs both rates."""
    learning_rate: Annotated[float | None, more_than(0)] = None
    """Largest learning rate of weights and biases, the same for all; it falls to zero along a
    cosine. Empty: in proportion to each channel's weights and outputs."""
    step_learning_rate: Annotated[float | None, more_than(0)] = None
    """Largest learning rate of the quantizers' steps. Empty: a tenth of `learning_rate`, or in
    proportion to each step where that is empty too."""
    momentum: Annotated[float, _BELOW_1] = 0.9
    """Momentum of the descent; Adam's first decay rate."""
    weight_decay: Annotated[float, at_least(0)] = 0.0
    """L2 penalty on weights and biases, for `sgd`; none on the quantizers' steps."""
    warm_up_steps: Natural = 5
    """Steps in which the rate rises to its largest."""
    clip_norm: NotNegative = 1.0
    """Largest norm of the gradient; longer ones are shortened. 0: none is."""
    averaging: Annotated[float, _BELOW_1] = 0.9
    """Share of the past in the running mean of weights, biases and steps that the training ends
    with; 0 ends with the last ones."""
    teacher_weight: Share = 0.5
    """Share of the loss that is the distance from the float network's outputs: for cross-entropy
    the divergence of its classes, else the squared difference as a share of the outputs' variance.
    The rest is the task's loss. 1 needs no labels, 0 no teacher."""
    views: Natural = 4
    """Augmented versions of each training image, where the float training augments; pass after pass
    sees the next. 0: images as they are."""
    compensation_images: Natural = 256
    """Training images over which weights are rounded so that their errors cancel, before the first
    step (see `quant.retraining.compensation`); 0: none. With no steps at all, quantization after
    training."""
    scale_images: Natural = 1024
    """Training images over which a scale and an offset of each logit are fitted, by the loss of the
    training, before the first step and after the last (see `quant.retraining.logit_fit`), where
    that is cross-entropy of classes of images; 0: they stay what they are."""
    held_back_images: Natural = 1000
    """Training images, a fifth of all at most, that are not trained on: where the loss on them is
    not lower after the steps than before, the network is put back to where it began. 0 keeps the
    trained one whatever became of it."""

    range_test: bool = True
    """Once a run, at 4 bits everywhere, whether large moves leave the held-back images a clearly
    lower loss than what the bits' damage asks for (see `quant.retraining.range_test`); then all
    retrainings move so far. Not where `learning_rate` says how far, nor where nothing is held
    back."""

    def __post_init__(self) -> None:
        """Refuse values that cannot train.

        Raises:
            TrainingError: a value is out of its range, or plain descent has no rate.
        """
        check_ranges(self, "", TrainingError)
        if self.optimizer == "sgd" and self.learning_rate is None:
            raise TrainingError(
                "learning_rate: expected a rate for the optimizer sgd, found none",
                "name one, or leave the optimizer adam, which needs none",
            )

    @property
    def tests_range(self) -> bool:
        """Whether there is a range test: where rates are found and something judges it."""
        return self.range_test and self.learning_rate is None and self.held_back_images > 0

    @property
    def absolute_step_rate(self) -> float | None:
        """Rate of the quantizers' steps where it is the same for all; None: in proportion."""
        if self.step_learning_rate is None and self.learning_rate is not None:
            return _STEP_SHARE * self.learning_rate
        return self.step_learning_rate


def images_seen(config: FinetuneConfig, count: int) -> int:
    """Return how many of `count` training images one retraining looks at, repeats counted.

    Those that weights are rounded over, those that logits are fitted to and those held back, which
    are scored before and after, are among them; the teacher's logits of a batch are computed once a
    run and are not.
    """
    held_back = held_back_count(config, count)
    there = count - held_back
    passes, steps = divmod(config.steps, -(-there // config.batch_size))
    trained_on = passes * there + steps * config.batch_size
    fitted = min(config.scale_images, there)
    looks = 2 if config.steps else int(fitted > 0)
    return trained_on + looks * (fitted + held_back) + min(config.compensation_images, there)


def held_back_count(config: FinetuneConfig, count: int) -> int:
    """Return how many of `count` training images are held back: a fifth at most."""
    return min(config.held_back_images, count // 5)
