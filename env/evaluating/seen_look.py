"""SeenLook: what one decision of a staged retraining did to the loss, as records keep it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from quant.objective.standard_error import error_of_mean

if TYPE_CHECKING:  # torch takes two seconds, which reading a record need not wait for
    import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenLook:
    """The loss on the same held-back training images after one decision and its share of the steps.

    Standard errors are paired, image by image; None where single images are not known. The
    reference is all-8, retrained in the same stages on the same images in the same order.
    """

    loss: float
    """Mean loss."""
    change: float | None = None
    """Less the loss before the decision."""
    change_se: float | None = None
    beside_reference: float | None = None
    """Less all-8's loss at the same decision; None where that is not known."""
    beside_reference_se: float | None = None
    response: float | None = None
    """The change less all-8's change at the same decision: what the decision did, and its share of
    the steps could not mend."""
    response_se: float | None = None


def seen_looks(
    losses: Sequence["torch.Tensor"], reference: Sequence["torch.Tensor"] | None
) -> tuple[SeenLook, ...]:
    """Return what was seen after each decision.

    Args:
        losses: Of each image, `[N]` each: before the first decision, and after each.
        reference: The same of all-8, at least as many; None where it is not known.
    """
    excess = None
    if reference is not None:
        excess = [own - other for own, other in zip(losses, reference, strict=False)]
    found = []
    for step, (before, after) in enumerate(pairwise(losses), 1):
        change, change_se = _mean(after - before)
        beside: tuple[float | None, float | None] = (None, None)
        response: tuple[float | None, float | None] = (None, None)
        if excess is not None:
            beside, response = _mean(excess[step]), _mean(excess[step] - excess[step - 1])
        found.append(
            SeenLook(
                loss=float(after.double().mean()),
                change=change,
                change_se=change_se,
                beside_reference=beside[0],
                beside_reference_se=beside[1],
                response=response[0],
                response_se=response[1],
            )
        )
    return tuple(found)


def _mean(values: "torch.Tensor") -> tuple[float, float]:
    values = values.double()
    return float(values.mean()), error_of_mean(values)
