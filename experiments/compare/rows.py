"""Rows of a comparison: one line of a file for each finished job, on the disk when it counts."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import model_serializer, model_validator

from experiments.errors import RunFolderError
from experiments.record.lines import append_line, cut_torn_line, whole_lines
from quant.allocation import Allocation
from quant.objective.metric import ACCURACY, Metric
from quant.objective.paired import PAIRED_COLUMNS, PairedDifference, paired_cells
from quant.records.json_form import Plain, from_plain, to_plain
from quant.records.regular_file import read_regular
from quant.records.strict_json import parse_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An allocation, retrained from the float checkpoint, scored on the test split and timed."""

    metric: Metric = ACCURACY
    test_score: float
    test_score_se: float | None
    test_beside_reference: PairedDifference | None = None
    """Less all-8-bit, retrained alike, image by image; None in what an earlier version wrote."""
    latency_ms: float
    latency_iqr_ms: float
    all_8_ms: float
    """All-8-bit allocation, timed in the same rounds."""
    model_bytes: int
    allocation: dict[str, Any]

    @property
    def test_quality(self) -> float:
        """What rises as the score gets better."""
        return self.metric.quality(self.test_score)

    @property
    def test_quality_se(self) -> float:
        """Standard error of the quality; 0 where nobody knows it."""
        return self.metric.quality_se(self.test_score, self.test_score_se)

    @property
    def bits(self) -> str:
        """`weights/activations` of each layer in order."""
        items = Allocation.from_dict(self.allocation).items
        return " ".join(str(bits) for _, bits in items)


_ANSWER = tuple(one.name for one in fields(Answer))


@model_serializer(mode="wrap")
def _flatten(self: Any, plain: Plain) -> dict[str, Any]:
    """Put an answer's values beside the row's; they are null where there is none."""
    document = plain(self)
    answer = document.pop("answer") or dict.fromkeys(_ANSWER)
    return {**document, **answer}


@model_validator(mode="before")
def _nest(cls: Any, document: Any) -> dict[str, Any]:
    answer = {"test_beside_reference": None, "metric": to_plain(ACCURACY)} | document
    for name in ("test_score", "test_score_se"):  # as an earlier version called accuracies
        answer.setdefault(name, document.get(name.replace("score", "accuracy")))
    answer = {name: answer[name] for name in _ANSWER}
    return {**document, "answer": None if answer["allocation"] is None else answer}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What one job came to."""

    method: str
    seed: int
    budget: float
    """Share of the way from the fastest uniform allocation's time to all-8's."""
    budget_ms: float
    evaluations: int
    training_samples: int
    device_s: float
    wall_s: float
    """Seconds of the search, results that an earlier job left being looked up."""
    looked_up: int
    """Evaluations whose measurement was looked up."""
    error: str
    """Why there is no answer; empty where there is one."""
    answer: Answer | None
    """None where the method found nothing that is inside the budget when it is timed again."""
    beside: Mapping[str, PairedDifference] = field(default_factory=dict)
    """Its answer less those of the methods before it, on the same test images, by their names."""

    _flat, _nested = _flatten, _nest


@dataclass(frozen=True, kw_only=True, slots=True)
class UniformRow:
    """A uniform allocation, retrained and timed like an answer."""

    bits: int
    seed: int
    answer: Answer

    _flat, _nested = _flatten, _nest


T = TypeVar("T", Row, UniformRow)


def append_row(path: Path, row: Row | UniformRow) -> None:
    """Append one line; it is on the disk before this returns.

    Raises:
        RunFolderError: the disk is full or read-only.
    """
    append_line(path, row)


def read_rows(path: Path, kind: type[T]) -> tuple[T, ...]:
    """Read what earlier parts of a comparison finished; a line that was cut off is removed.

    Raises:
        RunFolderError: a whole line cannot be read.
    """
    if not path.exists():
        return ()
    cut_torn_line(path)
    rows: list[T] = []
    for number, line in enumerate(whole_lines(read_regular(path)), 1):
        try:
            rows.append(from_plain(kind, parse_json(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(
                f"expected a finished job in line {number} of {path}, found {error!r}",
                "delete the line, and the job is done again",
            ) from None
    return tuple(rows)


def rows_csv(rows: Sequence[Row], all_8_ms: float) -> str:
    """Return the rows as CSV, bits as one column, and latencies also as shares of `all_8_ms`."""
    names = [one.name for one in (*fields(Row), *fields(Answer))]
    nested = ("answer", "allocation", "metric", "test_beside_reference", "beside")
    names = [name for name in names if name not in nested]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*names, "metric", "latency_ratio", "bits", *PAIRED_COLUMNS])
    for row in rows:
        document, answer = to_plain(row), row.answer
        derived: list[str | float] = ["", "", ""]
        if answer is not None:
            derived = [answer.metric.name, answer.latency_ms / all_8_ms, answer.bits]
        difference = None if answer is None else answer.test_beside_reference
        cells = paired_cells(difference).values()
        writer.writerow([*(document[name] for name in names), *derived, *cells])
    return buffer.getvalue()
