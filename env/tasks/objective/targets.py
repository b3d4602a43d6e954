"""Targets: labels that are no class numbers of whole images."""

from collections.abc import Mapping

import numpy as np
import torch

from env.tasks.own_data.arrays import Array
from env.tasks.own_data.labels import FLOATS_HINT, Labels
from quant.errors import DataError
from quant.objective.loss import CROSS_ENTROPY

_FLOAT_LOSSES = ("mse", "bce")


def are_classes(labels: Array, loss: str, output: torch.Tensor | None) -> bool:
    """Whether labels are a class of each image.

    Args:
        labels: `[N, ...]` of whatever kind.
        loss: Its name.
        output: What the network made of some images; None where that is `[N, classes]`.
    """
    of_images = labels[0].size == 1 or output is None or output.ndim == 2
    return loss == CROSS_ENTROPY.name and of_images


def targets_of(
    parts: Mapping[str, Array],
    loss: str,
    ignored: int,
    where: str,
    output: torch.Tensor | None = None,
) -> Labels:
    """Return label maps as int64, and everything else as the loss takes it.

    Args:
        parts: Targets `[N, ...]` of each part. A loss of the user's gets integers as int64 and
            floats as float32; a float for each image is `[N, 1]`, or `[N]` where the network's
            output is.
        loss: Its name.
        ignored: Label that is no class, in label maps.
        where: Whose they are, for messages.
        output: What the network made of some images; None where that is `[N, outputs]`.

    Raises:
        DataError: floats where classes are expected, or values that are no finite numbers.
    """
    found = {part: _targets(labels, loss, f"{where}, {part}") for part, labels in parts.items()}
    if output is not None:
        found = {part: _shaped(targets, loss, output) for part, targets in found.items()}
    for part, targets in found.items():
        _check_maps(targets, ignored, f"{where}, {part}")
    return Labels(
        numbers=found, classes=max(_outputs_for(targets, ignored) for targets in found.values())
    )


def _targets(labels: Array, loss: str, where: str) -> torch.Tensor:
    if labels.dtype.kind not in "biuf":
        raise DataError(f"{where}: expected numbers as labels, found {labels.dtype}")
    if loss not in _FLOAT_LOSSES and labels.dtype.kind != "f":
        return torch.from_numpy(labels.astype(np.int64))
    if loss == CROSS_ENTROPY.name:
        raise DataError(
            f"{where}: expected class numbers as labels, found floats {list(labels.shape)}",
            FLOATS_HINT,
        )
    targets = torch.from_numpy(labels.astype(np.float32))
    if not bool(torch.isfinite(targets).all()):
        raise DataError(f"{where}: expected finite targets, found NaN or infinity")
    return targets[:, None] if targets.ndim == 1 else targets


def _shaped(targets: torch.Tensor, loss: str, output: torch.Tensor) -> torch.Tensor:
    """Return targets with a channel where the loss wants one, without it where it does not."""
    wanted = output.ndim - (loss == CROSS_ENTROPY.name)
    if loss not in (CROSS_ENTROPY.name, *_FLOAT_LOSSES) and output.ndim > 1:
        return targets  # the user's loss knows
    if targets.ndim == wanted - 1:
        return targets.unsqueeze(1)
    alone = [axis for axis in (1, -1) if targets.ndim > 1 and targets.shape[axis] == 1]
    return targets.squeeze(alone[0]) if alone and targets.ndim == wanted + 1 else targets


def _check_maps(targets: torch.Tensor, ignored: int, where: str) -> None:
    """Refuse label maps of one class: of masks of 0 and 255 nothing else counts."""
    if targets.is_floating_point() or targets.ndim < 3:
        return
    different = targets.unique()
    if len(different[different != ignored]) < 2:
        found = " and ".join(map(str, different.tolist()))
        raise DataError(
            f"{where}: expected label maps of two classes or more beside {ignored}, which does not "
            f"count, found {found}",
            "divide masks of 0 and 255 by 255, or name another --task.ignore-label",
        )


def _outputs_for(targets: torch.Tensor, ignored: int) -> int:
    """Return how many outputs a network of the catalogue gets for targets."""
    if targets.is_floating_point():
        return targets.shape[1] if targets.ndim > 1 else 1
    if targets.ndim == 1:
        return 1 + int(targets.max())
    return 1 + int(torch.where(targets == ignored, 0, targets).max())
