"""Curves: the scalars of a run, read back from its event files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments.errors import RunFolderError

_EVERYTHING = {"scalars": 0, "images": 0, "tensors": 0, "histograms": 0}
"""0 keeps every event; the default would silently thin them out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One scalar over time."""

    steps: tuple[int, ...]
    values: tuple[float, ...]


def read_curves(folder: Path) -> Mapping[str, Curve]:
    """Read every scalar of all event files below a folder, `{tag: Curve}`, by step.

    Raises:
        RunFolderError: there is no event file.
    """
    points: dict[str, list[tuple[int, float]]] = {}
    for accumulator in _accumulators(folder):
        for tag in accumulator.Tags()["scalars"]:
            points.setdefault(tag, []).extend(
                (event.step, event.value) for event in accumulator.Scalars(tag)
            )
    curves = {}
    for tag, found in sorted(points.items()):
        found.sort(key=lambda point: point[0])
        curves[tag] = Curve(
            steps=tuple(step for step, _ in found), values=tuple(value for _, value in found)
        )
    return curves


def _accumulators(folder: Path) -> list[EventAccumulator]:
    """Load each event file by itself: an accumulator of a folder drops files of equal seconds."""
    found = sorted(folder.rglob("events.out.tfevents.*"))
    files = [file for file in found if file.is_file()]  # TensorBoard would wait for a pipe
    if not files:
        raise RunFolderError(f"{folder} holds no TensorBoard event file")
    accumulators = []
    for file in files:
        accumulator = EventAccumulator(str(file), size_guidance=_EVERYTHING)
        accumulator.Reload()
        accumulators.append(accumulator)
    return accumulators
