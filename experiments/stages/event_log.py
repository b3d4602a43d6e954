"""EventLog: TensorBoard events of a run, without torch.

Stable-Baselines3 writes its own file in the same folder; none of these tags is one of its.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.scalar import metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from experiments.charts.chart import Chart
from experiments.charts.draw import draw_chart, png_bytes
from experiments.errors import cannot_write
from hardware.closing import Closing

_SUFFIX = ".bitalloc"
_MEAN = "mean_weight_bits"
_MEAN_IS = "Mean over the layers; the weights of one in float count as 32 bits."


class EventLog(Closing):
    """Writes scalars, figures and texts into one event file. A context manager."""

    def __init__(self, folder: Path) -> None:
        """Open a new event file in `folder` and delete our earlier ones.

        A run that goes on writes its curves again from its record: it may have died between a
        record and its curves.

        Raises:
            RunFolderError: the disk is full or read-only, or something else has a file's place.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for earlier in folder.glob(f"*{_SUFFIX}"):
                earlier.unlink()
            # A suffix of our own keeps the file apart from Stable-Baselines3's of the same second.
            self._writer = EventFileWriter(str(folder), filename_suffix=_SUFFIX)
        except OSError as error:
            raise cannot_write(Path(error.filename or folder), error) from None

    def scalars(self, values: Mapping[str, float | None], step: int) -> None:
        """Write one point for each tag; a value that is None or not finite is left out."""
        kept = [
            Summary.Value(
                tag=tag,
                simple_value=float(value),
                metadata=_metadata(tag),
            )
            for tag, value in values.items()
            if value is not None and np.isfinite(value)
        ]
        if kept:
            self._add(Summary(value=kept), step)

    def chart(self, tag: str, chart: Chart, step: int) -> None:
        """Write a chart as an image."""
        png, width, height = png_bytes(draw_chart(chart))
        image = Summary.Image(encoded_image_string=png, width=width, height=height, colorspace=4)
        self._add(Summary(value=[Summary.Value(tag=tag, image=image)]), step)

    def flush(self) -> None:
        """Bring everything written so far onto the disk.

        Raises:
            RunFolderError: the disk is full or read-only.
        """
        with self._named():
            self._writer.flush()

    def close(self) -> None:
        """Close the event file.

        Raises:
            RunFolderError: the disk is full or read-only.
        """
        with self._named():
            self._writer.close()

    def _add(self, summary: Summary, step: int) -> None:
        with self._named():
            self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Name the folder where the writer's thread met the disk's end."""
        try:
            yield
        except OSError as error:
            raise cannot_write(Path(self._writer.get_logdir()), error) from None


def _metadata(tag: str) -> SummaryMetadata | None:
    """Return what TensorBoard says beside a scalar that needs it."""
    if not tag.endswith(_MEAN):
        return None
    made: SummaryMetadata = metadata.create_summary_metadata(tag, _MEAN_IS)
    return made
