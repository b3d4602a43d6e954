"""The standard error of a mean over images."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes two seconds, which reading a record need not wait for
    import torch


def error_of_mean(values: "torch.Tensor", *, least: float = 0.0) -> float:
    """Return the standard error of the mean of values `[N]`.

    Args:
        values: One for each image.
        least: Least sum of squared deviations.
    """
    squares = max(float(((values - values.mean()) ** 2).sum()), least)
    return float((squares / max(1, len(values) - 1) / len(values)) ** 0.5)
