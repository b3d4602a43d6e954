"""SensitivityConfig: the images that methods estimate sensitivities from."""

from dataclasses import dataclass
from typing import Annotated

from env.errors import TaskError
from quant.records.ranges import Count, at_least, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class SensitivityConfig:
    """What estimating a sensitivity may look at; they are training images."""

    images: Count = 256
    """Training images for sensitivities of the loss."""
    batch_size: Count = 64
    """Images that go through the network together."""
    draws: Count = 8
    """Random vectors for each tensor and batch, for the Hessian's traces."""
    orthogonality_images: Annotated[int, at_least(2)] = 64
    """Training images for the orthogonality of layers."""

    def __post_init__(self) -> None:
        """Refuse sizes that leave nothing to look at."""
        check_ranges(self, "env.sensitivity.", TaskError)
