"""BatchLook: what an allocation did to the loss on one batch, while weights were shared."""

from dataclasses import dataclass

from quant.allocation import Allocation


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLook:
    """The loss on one batch of training images at an allocation, beside all-8's on the same.

    Both with the same weights, before the step that this batch is trained in.
    """

    allocation: Allocation
    rise: float
    """Mean loss of the batch, less its mean loss at all-8."""
    images: int
    """In the batch."""
