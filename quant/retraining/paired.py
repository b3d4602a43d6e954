"""PairedDifference: how a network differs from a reference on the same images.

Two networks miss much the same images, so that their difference on one set of images is known far
better than either accuracy.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes two seconds, which reading a record need not wait for
    import torch

    from quant.retraining.accuracy import ImageScores

_LEAST_SQUARES = 0.5
"""Half an image: the same half that keeps `Accuracy.standard_error` from zero."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """Candidate less reference, image by image, with standard errors; all zero for one network."""

    accuracy: float
    """Difference of the shares of correct images, -1..1."""
    accuracy_se: float
    """Paired standard error of `accuracy`."""
    accuracy_unpaired_se: float
    """Standard error of `accuracy`, had the two been scored on different images."""
    loss: float
    """Difference of the mean cross-entropies."""
    loss_se: float
    """Paired standard error of `loss`."""
    loss_unpaired_se: float
    """Standard error of `loss`, had the two been scored on different images."""


_FIELDS = tuple(PairedDifference.__dataclass_fields__)
PAIRED_COLUMNS = tuple(f"beside_reference_{name}" for name in _FIELDS)
"""A difference in tables of many columns."""


def paired_cells(difference: PairedDifference | None) -> dict[str, float | None]:
    """Return a difference for each of `PAIRED_COLUMNS`; None throughout where there is none."""
    values = [None if difference is None else getattr(difference, name) for name in _FIELDS]
    return dict(zip(PAIRED_COLUMNS, values, strict=True))


def paired(candidate: "ImageScores", reference: "ImageScores") -> PairedDifference:
    """Return the difference of two networks that were scored on the same images.

    The paired standard error is that of a mean of N differences: `sqrt(S / (N - 1) / N)`, S being
    the sum of their squared deviations from their mean. For the accuracy S is at least 0.5, half an
    image, so that two networks that are right on the same images are not taken for equal. It is at
    most the unpaired one, `sqrt(se_a^2 + se_b^2)`; what makes it smaller is the covariance of the
    two. Images that are hard for one network are hard for another, so that a covariance below zero
    is chance, and taken as zero.

    A candidate whose loss is the reference's on every image is the same network: its paired
    standard errors are zero.

    Args:
        candidate: Its N images in the order of the reference's.
        reference: What is subtracted.

    Raises:
        ValueError: the two are of different numbers of images.
    """
    if len(candidate) != len(reference):
        raise ValueError(
            f"expected scores of the reference's {len(reference)} images, found {len(candidate)}"
        )
    losses, losses_8 = candidate.loss.double(), reference.loss.double()
    rights = candidate.correct.double() - reference.correct.double()
    unpaired_right = (
        candidate.accuracy.standard_error**2 + reference.accuracy.standard_error**2
    ) ** 0.5
    unpaired_loss = (_of_mean(losses) ** 2 + _of_mean(losses_8) ** 2) ** 0.5
    same = bool((losses == losses_8).all())
    return PairedDifference(
        accuracy=float(rights.mean()),
        accuracy_se=0.0 if same else min(_of_mean(rights, least=_LEAST_SQUARES), unpaired_right),
        accuracy_unpaired_se=unpaired_right,
        loss=float((losses - losses_8).mean()),
        loss_se=0.0 if same else min(_of_mean(losses - losses_8), unpaired_loss),
        loss_unpaired_se=unpaired_loss,
    )


def _of_mean(values: "torch.Tensor", *, least: float = 0.0) -> float:
    """Return the standard error of the mean of values `[N]`."""
    squares = max(float(((values - values.mean()) ** 2).sum()), least)
    return float((squares / max(1, len(values) - 1) / len(values)) ** 0.5)
