"""Range test: once a run, whether a network has more to learn than what its bits cost.

The bits' damage says how much there is to mend, and not how much the images can teach: a network
whose weights were made of other images learns from its user's at any width.
"""

import logging
import math
from collections.abc import Callable

_logger = logging.getLogger(__name__)

RANGE_BITS = 4
"""Of every layer in the test: wide enough that what larger moves gain is not the bits' mending."""
_FAR = 3.0
"""The one large reach that is tried. With published weights at 4 bits, 2 and 4 gain about as
much."""
_CLEARLY = 0.98
"""Share of the other losses below which a loss is clearly better: the answer is for all widths, and
where it changes next to nothing at this one, chance must not decide for the others."""


def find_least_reach(held_back_loss: Callable[[float], float | None], start_loss: float) -> float:
    """Return the least reach of all retrainings of a run; 0 leaves them to the bits' damage.

    Args:
        held_back_loss: Trains from the start with at least this reach and returns the mean loss on
            the held-back images; None or not finite where that failed.
        start_loss: Before the first step.

    Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", for finding a rate
    by a short training.
    """
    near, far = (_or_infinite(held_back_loss(reach)) for reach in (0.0, _FAR))
    least = _FAR if far < _CLEARLY * min(near, start_loss) else 0.0
    _logger.info(
        "range test at %d bits: held-back loss %.4f at the start, %.4f with the reach that the "
        "bits' damage asks for, %.4f with %g: %s",
        *(RANGE_BITS, start_loss, near, far, _FAR),
        f"values move by at least {least:g}" if least else "the bits' damage decides",
    )
    return least


def _or_infinite(loss: float | None) -> float:
    return math.inf if loss is None or not math.isfinite(loss) else loss
