"""The table: each network at each width, ours beside the rivals, judged by the bar."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from quant.layers import MAX_BITS
from quant.retraining.finetune_config import FinetuneConfig
from tools.retraining_table.cells import Cell
from tools.retraining_table.measuring import Measuring
from tools.retraining_table.subjects import Subject
from tools.retraining_table.ways import COMPENSATED, OURS, RIVALS, Way, ways

ALLOWED_LOSS = 0.3
"""Points that retraining may cost at 8 bits, or one standard error where that is larger."""
ALLOWED_LAG = 0.5
"""Points that ours may be behind the best rival below 8 bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """What one way reaches on the test split."""

    way: str
    title: str
    config: FinetuneConfig
    """The chosen variant."""
    search: float | None
    """What it was chosen by, percent; None where there was no choice."""
    accuracy: float
    """Mean of the seeds, percent."""
    deviation: float
    """Standard deviation over the seeds, points; 0 where nothing is random."""
    each: tuple[float, ...]
    """By seed, percent."""
    trained_kept: int
    """How often the network after the last step was kept."""
    failed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedChange:
    """How accuracy changed on the same images, points, mean of the seeds."""

    mean: float
    standard_error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One network at one width."""

    bits: int
    reached: dict[str, Reached]
    """By the name of the way."""
    change: PairedChange
    """From the compensated network to ours."""
    rival: str | None
    """The best way that ours must keep up with; None at 8 bits, where it is the network before."""
    behind: float
    """Points that ours is behind the rival, or behind the network before; negative: ahead."""
    allowed: float
    """Points that it may be."""
    met: bool
    """Whether it is no further behind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkRows:
    """One network at all widths."""

    network: str
    title: str
    test_images: int
    float_accuracy: float
    rows: tuple[Row, ...]

    @property
    def met(self) -> bool:
        """Whether the bar is met at every width."""
        return all(row.met for row in self.rows)


def rows_of(subject: Subject, measuring: Measuring, bits: Sequence[int]) -> NetworkRows:
    """Fill what cells a network lacks, width after width, and return its rows."""
    rows = []
    whole = measuring.float_cell()
    for width in bits:
        rows.append(_row(width, ways(subject.rival_batch), measuring))
        measuring.forget_trained()
    return NetworkRows(
        network=subject.name,
        title=subject.title,
        test_images=whole.asked.images,
        float_accuracy=whole.accuracy,
        rows=tuple(rows),
    )


def paired_change(before: Cell, after: Sequence[Cell]) -> PairedChange:
    """Return the mean of the seeds' changes, and its standard error over the images."""
    changes = torch.stack([cell.hits for cell in after]).mean(0) - before.hits
    deviation = float(changes.std(correction=1)) if len(changes) > 1 else 0.0
    return PairedChange(
        mean=100 * float(changes.mean()),
        standard_error=100 * deviation / len(changes) ** 0.5,
    )


def _row(bits: int, all_ways: Sequence[Way], measuring: Measuring) -> Row:
    cells, reached = {}, {}
    for way in all_ways:
        if bits < MAX_BITS or way.judged_on_8_bits:
            config, search = measuring.chosen(way, bits)
            cells[way.name] = measuring.on_test(way, bits, config)
            reached[way.name] = _reached(way, config, search, cells[way.name])
    change = paired_change(cells[COMPENSATED][0], cells[OURS])
    if bits == MAX_BITS:
        rival, behind = None, 0.0 - change.mean
        allowed = max(ALLOWED_LOSS, change.standard_error)
    else:
        rival = max(RIVALS, key=lambda name: reached[name].accuracy)
        behind = reached[rival].accuracy - reached[OURS].accuracy
        allowed = ALLOWED_LAG
    return Row(
        bits=bits,
        reached=reached,
        change=change,
        rival=rival,
        behind=behind,
        allowed=allowed,
        met=behind <= allowed,
    )


def _reached(
    way: Way, config: FinetuneConfig, search: float | None, cells: Sequence[Cell]
) -> Reached:
    each = [cell.accuracy for cell in cells]
    return Reached(
        way=way.name,
        title=way.title,
        config=config,
        search=search,
        accuracy=statistics.fmean(each),
        deviation=statistics.stdev(each) if len(each) > 1 else 0.0,
        each=tuple(each),
        trained_kept=sum(cell.kept == "trained" for cell in cells),
        failed=sum(bool(cell.error) for cell in cells),
    )
