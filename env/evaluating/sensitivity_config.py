"""SensitivityConfig: the images that methods estimate sensitivities from."""

from dataclasses import dataclass

from env.errors import TaskError

__all__ = ["SensitivityConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SensitivityConfig:
    """What estimating a sensitivity may look at; they are training images."""

    images: int = 256
    """Training images for sensitivities of the loss."""
    batch_size: int = 64
    """Images that go through the network together."""
    draws: int = 8
    """Random vectors for each tensor and batch, for the Hessian's traces."""
    orthogonality_images: int = 64
    """Training images for the orthogonality of layers."""

    def __post_init__(self) -> None:
        """Refuse sizes that leave nothing to look at."""
        for name, least in (
            ("images", 1),
            ("batch_size", 1),
            ("draws", 1),
            ("orthogonality_images", 2),
        ):
            if getattr(self, name) < least:
                raise TaskError(
                    f"env.sensitivity.{name}: expected at least {least}, "
                    f"found {getattr(self, name)}"
                )
