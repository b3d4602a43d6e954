"""Loss: what a network is trained by, image by image, and how another network teaches it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn import functional

from quant.objective.checks import class_scores, like_labels
from quant.outputs import Outputs, main_tensor
from quant.tensors.moving import like

_IGNORED = -100
"""Label that nothing has: none is ignored where nobody names one."""
_LEAST_VARIANCE = 1e-8
_CROSS_ENTROPY = "the loss cross-entropy"

Teach = Callable[[Outputs, Outputs], torch.Tensor]
"""From outputs and the teacher's to how far they are apart, a scalar."""


def distance(outputs: Outputs, taught: Outputs) -> torch.Tensor:
    """Return the mean squared difference from a teacher's outputs, as a share of their variance.

    The mean over several outputs: each counts the same, whatever its scale is.

    Args:
        outputs: `[N, ...]`, or a tuple of such.
        taught: The teacher's, of the same shapes.
    """
    if isinstance(outputs, torch.Tensor):
        assert isinstance(taught, torch.Tensor)
        variance = taught.var(correction=0).clamp_min(_LEAST_VARIANCE)
        return functional.mse_loss(outputs, taught) / variance
    parts = [distance(one, other) for one, other in zip(outputs, taught, strict=True)]
    return torch.stack(parts).mean()


def main_distance(outputs: Outputs, taught: Outputs) -> torch.Tensor:
    """Return the `distance` of the main output, where the loss looks at no other."""
    return distance(main_tensor(outputs), main_tensor(taught))


def divergence(outputs: Outputs, taught: Outputs) -> torch.Tensor:
    """Return the Kullback-Leibler divergence from a teacher's classes, the mean over images.

    Of maps the mean over their pixels, too.

    Args:
        outputs: Logits `[N, C]` or `[N, C, ...]`; of several outputs the main one.
        taught: The teacher's.

    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2, at
    temperature 1.
    """
    logits, teacher = main_tensor(outputs), main_tensor(taught)
    total = functional.kl_div(
        logits.log_softmax(1), teacher.log_softmax(1), log_target=True, reduction="sum"
    )
    return total / (logits.numel() / logits.shape[1])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Loss:
    """What a network is trained by."""

    name: str
    of_images: Callable[[Outputs, torch.Tensor], torch.Tensor]
    """From outputs and labels `[N, ...]` to the loss of each image, float32 `[N]`."""
    teach: Teach = distance
    """How far outputs are from a teacher's."""
    source: str = ""
    """Of a function that is the user's: part of the keys of what is stored."""
    mean_of_batch: Callable[[Outputs, torch.Tensor], torch.Tensor] | None = None
    """The mean over a batch, where that is less work than the mean of `of_images`."""

    @property
    def key(self) -> str:
        """What decides losses beside the code of this package."""
        return self.name + self.source

    def each(self, outputs: Outputs, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of each image, float32 `[N]`, where the outputs are."""
        return self.of_images(outputs, _beside(labels, outputs))

    def mean(self, outputs: Outputs, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean over the images, a scalar that gradients go through."""
        if self.mean_of_batch is not None:
            return self.mean_of_batch(outputs, _beside(labels, outputs))
        return self.each(outputs, labels).mean()

    def total(self, outputs: Outputs, labels: torch.Tensor) -> torch.Tensor:
        """Return the sum over the images, a scalar that gradients go through."""
        return len(labels) * self.mean(outputs, labels)


def _beside(labels: torch.Tensor, outputs: Outputs) -> torch.Tensor:
    """Return labels on the device of the outputs."""
    return like(labels, outputs if isinstance(outputs, torch.Tensor) else outputs[0])


def _cross_entropies(outputs: Outputs, labels: torch.Tensor, *, ignored: int) -> torch.Tensor:
    """Return cross-entropies; of a label map the mean over its pixels that are not ignored."""
    logits = class_scores(_CROSS_ENTROPY, outputs, labels)
    if labels.ndim == 1:
        return functional.cross_entropy(logits, labels, reduction="none")
    losses = functional.cross_entropy(logits, labels, ignore_index=ignored, reduction="none")
    counted = (labels != ignored).flatten(1).sum(1)
    return losses.flatten(1).sum(1) / counted.clamp_min(1)


def _mean_cross_entropy(outputs: Outputs, labels: torch.Tensor, *, ignored: int) -> torch.Tensor:
    """Return the mean of `_cross_entropies`; for classes of images by torch's own, to the bit."""
    if labels.ndim > 1:
        return _cross_entropies(outputs, labels, ignored=ignored).mean()
    return functional.cross_entropy(class_scores(_CROSS_ENTROPY, outputs, labels), labels)


def squared_errors(outputs: Outputs, targets: torch.Tensor) -> torch.Tensor:
    """Return each image's mean squared difference from targets of the outputs' shape, `[N]`.

    Raises:
        ObjectiveError: targets are of another shape, or no floats.
    """
    found = like_labels("mse", outputs, targets)
    return (found - targets).square().reshape(len(targets), -1).mean(1)


def _binary_cross_entropies(outputs: Outputs, targets: torch.Tensor) -> torch.Tensor:
    found = like_labels("the loss bce", outputs, targets)
    losses = functional.binary_cross_entropy_with_logits(found, targets, reduction="none")
    return losses.reshape(len(targets), -1).mean(1)


def cross_entropy(ignored: int) -> Loss:
    """Return the cross-entropy of class numbers `[N]` or label maps `[N, H, W]`.

    Args:
        ignored: Label of pixels that do not count.
    """
    return Loss(
        name="cross-entropy",
        of_images=partial(_cross_entropies, ignored=ignored),
        teach=divergence,
        mean_of_batch=partial(_mean_cross_entropy, ignored=ignored),
    )


CROSS_ENTROPY = cross_entropy(_IGNORED)
MEAN_SQUARED_ERROR = Loss(name="mse", of_images=squared_errors, teach=main_distance)
"""Of targets with the outputs' shape, the mean over all values of an image."""
BINARY_CROSS_ENTROPY = Loss(name="bce", of_images=_binary_cross_entropies, teach=main_distance)
"""Of logits and targets 0..1 of one shape, the mean over all values of an image."""
