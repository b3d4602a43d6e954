"""ObservedLooks: what looks during retrainings say of single decisions.

A look shows how far the loss on some training images rises with one decision, when all that was
decided before is trained already. That is the decision's response up to a factor that all share
(other images, a loss in place of a score), one of its own (its training is not over), and noise.
A batch while weights are shared shows the same of a whole allocation: the sum of its decisions'.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from env.evaluating.evaluation import Evaluation
from env.responses.batch_looks import BatchLook
from env.responses.columns import Floats, Integers, ResponseColumns


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ObservedLooks:
    """M looks, each at one decision of one evaluation, and B at whole allocations."""

    columns: Integers
    """`[M]`: which response it is at."""
    rises: Floats
    """`[M]`: how far the loss rose there, less all-8's rise."""
    batch_rows: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    """`[B, columns]`: 1 where the allocation has a response, else 0."""
    batch_rises: Floats = field(default_factory=lambda: np.zeros(0))
    """`[B]`: the batch's loss, less all-8's on the same."""
    batch_images: Floats = field(default_factory=lambda: np.zeros(0))
    """`[B]`: how many each batch had."""

    def __len__(self) -> int:
        """Return the number of looks."""
        return len(self.columns) + len(self.batch_rises)


def observed_looks(
    evaluations: Iterable[Evaluation],
    columns: ResponseColumns,
    batches: Iterable[BatchLook] = (),
) -> ObservedLooks:
    """Return the looks of real evaluations of the space at responses, and those at allocations.

    At 8 bits and in float a decision has none. Retrainings that begin alike share their first looks
    to the bit: those count once.
    """
    found = {
        (columns.at[step, bits], look.response): None
        for evaluation in evaluations
        if evaluation.looks and not evaluation.practice
        if columns.space.admits(evaluation.allocation)
        for step, (bits, look) in enumerate(
            zip(columns.space.bits_of(evaluation.allocation), evaluation.looks, strict=False)
        )
        if look.response is not None and (step, bits) in columns.at
    }
    at, rises = zip(*found, strict=True) if found else ((), ())
    shared = list(batches)
    return ObservedLooks(
        columns=np.array(at, dtype=np.int64),
        rises=np.array(rises, dtype=np.float64),
        batch_rows=columns.rows(batch.allocation for batch in shared),
        batch_rises=np.array([batch.rise for batch in shared], dtype=np.float64),
        batch_images=np.array([batch.images for batch in shared], dtype=np.float64),
    )
