"""PairedDifference: how a network differs from a reference on the same images.

Two networks miss much the same images, so that their difference on one set of images is known far
better than either score.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from quant.objective.standard_error import error_of_mean
from quant.records.json_form import formerly

if TYPE_CHECKING:  # torch takes two seconds, which reading a record need not wait for
    from quant.objective.scores import ImageScores

_LEAST_SQUARES = 0.5
"""Half an image: the same half that keeps the standard error of a share from zero."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """Candidate less reference, image by image, with standard errors; all zero for one network."""

    score: Annotated[float, formerly("score", "accuracy")]
    """Difference of the scores; of accuracies -1..1."""
    score_se: Annotated[float | None, formerly("score_se", "accuracy_se")]
    """Paired standard error of `score`; None where a score has none."""
    score_unpaired_se: Annotated[
        float | None, formerly("score_unpaired_se", "accuracy_unpaired_se")
    ]
    """Standard error of `score`, had the two been scored on different images."""
    loss: float
    """Difference of the mean losses."""
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
    the sum of their squared deviations from their mean. For a share of right images S is at least
    0.5, half an image, so that two networks that are right on the same images are not taken for
    equal. Of a metric that is no mean over images it is the standard deviation of the differences
    on the same samples of the images. It is at most the unpaired one, `sqrt(se_a^2 + se_b^2)`; what
    makes it smaller is the covariance of the two. Images that are hard for one network are hard for
    another, so that a covariance below zero is chance, and taken as zero.

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
    difference, own = _of_scores(candidate, reference)
    of_score: tuple[float | None, float | None] = (None, None)
    error, error_8 = candidate.standard_error, reference.standard_error
    if own is not None and error is not None and error_8 is not None:
        of_score = _capped(own, error, error_8)
    of_loss = _capped(
        error_of_mean(losses - losses_8), error_of_mean(losses), error_of_mean(losses_8)
    )
    same = bool((losses == losses_8).all())
    return PairedDifference(
        score=difference,
        score_se=0.0 if same else of_score[0],
        score_unpaired_se=of_score[1],
        loss=float((losses - losses_8).mean()),
        loss_se=0.0 if same else of_loss[0],
        loss_unpaired_se=of_loss[1],
    )


def _of_scores(candidate: "ImageScores", reference: "ImageScores") -> tuple[float, float | None]:
    """Return the difference and its paired standard error; None where a score has none."""
    if candidate.each is not None and reference.each is not None:
        shares = not candidate.each.is_floating_point()
        differences = candidate.each.double() - reference.each.double()
        least = _LEAST_SQUARES if shares else 0.0
        return float(differences.mean()), error_of_mean(differences, least=least)
    difference = candidate.value - reference.value
    if candidate.resampled is None or reference.resampled is None:
        return difference, None
    return difference, float((candidate.resampled - reference.resampled).std())


def _capped(own: float, candidate: float, reference: float) -> tuple[float, float]:
    """Return a paired standard error, at most the unpaired one, and the unpaired one."""
    unpaired = (candidate**2 + reference**2) ** 0.5
    return min(own, unpaired), unpaired
