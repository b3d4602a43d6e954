"""TruthRow: one retraining of one allocation, as the files of a tabulation keep it."""

import base64
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quant.retraining.retrained import Kept

ALL_8 = -1
"""In place of an allocation's number: the reference, which need not be in the space."""

Hits = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class TruthRow:
    """What one retraining came to on the search split."""

    number: int
    """Of the allocation in its subspace, or `ALL_8`."""
    seed: int
    """Number of the retraining: it orders the images."""
    score: float
    """Accuracy, 0..1."""
    loss: float
    """Mean over the search split."""
    loss_se: float
    """Paired standard error of the loss less all-8's of the same seed; 0 for all-8 itself."""
    kept: Kept
    looks: tuple[float, ...]
    """Mean loss on the held-back images that are looked at, after each decision."""
    right: str
    """Which search images are right: zlib's bytes of packed bits, as base64."""

    def hits(self, images: int) -> Hits:
        """Return which of so many images are right, bool `[N]`.

        Raises:
            ValueError: the text holds something else.
        """
        try:
            content = zlib.decompress(base64.b64decode(self.right, validate=True))
        except zlib.error as error:
            raise ValueError(f"expected packed bits, found {error}") from None
        bits = np.frombuffer(content, np.uint8)
        if len(bits) != -(-images // 8):
            raise ValueError(f"expected bits of {images} images, found {8 * len(bits)}")
        return np.unpackbits(bits, count=images).astype(np.bool_)


def pack_hits(hits: Hits) -> str:
    """Return which images are right as `TruthRow.right` has it."""
    return base64.b64encode(zlib.compress(np.packbits(hits).tobytes(), 9)).decode()
