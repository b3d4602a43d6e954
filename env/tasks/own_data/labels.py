"""Labels as class numbers from 0, whatever type and form they come in."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from env.tasks.own_data.arrays import Array
from quant.errors import DataError

_SHOWN = 4
"""Labels that a sentence names."""
FLOATS_HINT = "for targets of floats choose --task.metric mse, or functions of your own"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Labels:
    """The labels of all parts, as they are learned."""

    numbers: dict[str, torch.Tensor]
    """int64 `[N]` of each part, or what the task's loss takes, `[N, ...]`."""
    classes: int
    """Number of logits, or of targets."""
    names: tuple[str, ...] = ()
    """What each number stands for, where the user's labels were others."""
    notes: tuple[str, ...] = ()
    """What was made of them, in sentences."""


def class_numbers(parts: Mapping[str, Array], outputs: int | None, where: str) -> Labels:
    """Return labels as class numbers.

    Whole numbers below the number of outputs stay as they are. Others, and strings, are counted in
    order where there are as many different ones as outputs.

    Args:
        parts: Labels `[N]`, `[N, 1]` or one-hot `[N, classes]` of each part.
        outputs: Outputs of the network; None for as many as there are classes.
        where: What returned them, for messages.

    Raises:
        DataError: they are no class numbers, all the same, or do not fit the outputs.
    """
    plain = {part: _flat(labels, f"{where}, {part}") for part, labels in parts.items()}
    different = np.unique(np.concatenate([np.unique(labels) for labels in plain.values()]))
    if len(different) < 2:
        raise DataError(f"{where}: expected labels of two classes or more, found {different[0]}")
    whole = different.dtype.kind in "iu"
    if whole and int(different[0]) < 0:
        raise DataError(
            f"{where}: expected class numbers from 0 as labels, found {different[0]}",
            "leave examples without a class out, and count the classes from 0",
        )
    room = len(different) if outputs is None else outputs
    if whole and int(different[-1]) < room:
        numbers = {part: labels.astype(np.int64) for part, labels in plain.items()}
        return Labels(
            numbers={part: torch.from_numpy(labels) for part, labels in numbers.items()},
            classes=room,
            notes=_unused(different, numbers["train"], room),
        )
    if len(different) != room:
        raise DataError(
            f"{where}: expected labels from 0 to {room - 1}, as the network has {room} "
            f"output{'s' if room > 1 else ''}, found {_listed(different)}",
            "cross entropy needs an output for each class: end the network in as many"
            if room < len(different)
            else "count the classes from 0, or end the network in as many outputs as there are",
        )
    numbers = {part: np.searchsorted(different, labels) for part, labels in plain.items()}
    return Labels(
        numbers={
            part: torch.from_numpy(labels.astype(np.int64)) for part, labels in numbers.items()
        },
        classes=room,
        names=tuple(map(str, different.tolist())),
        notes=(
            f"labels: {_listed(different)} are counted as classes 0 to {room - 1}",
            *_unused(np.arange(room), numbers["train"], room),
        ),
    )


def _flat(labels: Array, where: str) -> Array:
    """Return labels `[N]` of whole numbers or strings."""
    if labels.ndim > 1 and labels[0].size == 1:
        labels = labels.reshape(len(labels))
    if labels.ndim == 2 and labels.dtype.kind in "biuf" and _is_one_hot(labels):
        labels = labels.argmax(1)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.ndim != 1:
        hint = FLOATS_HINT if labels.dtype.kind == "f" else ""
        if labels.dtype.kind in "biuf" and ((labels == 0) | (labels == 1)).all():
            hint = "for several labels of an input choose --task.metric f1"
        raise DataError(
            f"{where}: expected one label for each input, found {list(labels.shape)}", hint
        )
    if labels.dtype.kind == "b":
        return labels.astype(np.int64)
    if labels.dtype.kind == "f":
        broken = ~np.isfinite(labels) | (labels != np.round(labels))
        if broken.any():
            raise DataError(
                f"{where}: expected class numbers as labels, found {labels[broken.argmax()]:g}",
                FLOATS_HINT,
            )
        return labels.astype(np.int64)
    if labels.dtype.kind not in "iuU":
        raise DataError(f"{where}: expected class numbers as labels, found {labels.dtype}")
    return labels


def _is_one_hot(labels: Array) -> bool:
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all())


def _unused(different: Array, train: Array, outputs: int) -> tuple[str, ...]:
    notes = []
    if outputs > len(different):
        notes.append(f"labels: of the network's {outputs} outputs the data use {len(different)}")
    missing = np.setdiff1d(different, train)
    if len(missing):
        notes.append(f"labels: no training example is of {_listed(missing)}")
    return tuple(notes)


def _listed(labels: Array) -> str:
    shown = ", ".join(map(str, labels[:_SHOWN].tolist()))
    return shown if len(labels) <= _SHOWN else f"{shown}, ... ({len(labels)} different ones)"
