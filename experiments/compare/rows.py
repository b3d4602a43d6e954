"""Rows of a comparison: one line of a file for each finished job, on the disk when it counts."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from experiments.errors import RunFolderError
from experiments.record.lines import append_line, cut_torn_line, whole_lines
from quant.allocation import Allocation

__all__ = ["Answer", "Row", "UniformRow", "append_row", "read_rows", "rows_csv"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An allocation, retrained from the float checkpoint, scored on the test split and timed."""

    test_accuracy: float
    test_accuracy_se: float
    latency_ms: float
    latency_iqr_ms: float
    all_8_ms: float
    """All-8-bit allocation, timed in the same rounds."""
    model_bytes: int
    allocation: dict[str, Any]

    @property
    def bits(self) -> str:
        """`weights/activations` of each layer in order."""
        items = Allocation.from_dict(self.allocation).items
        return " ".join(f"{b.weight_bits}/{b.activation_bits}" for _, b in items)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What one job came to."""

    method: str
    seed: int
    budget: float
    """Share of the way from the fastest uniform allocation's time to all-8's."""
    budget_ms: float
    answer: Answer | None
    """None where the method found nothing that is inside the budget when it is timed again."""
    evaluations: int
    training_samples: int
    device_s: float
    wall_s: float
    """Seconds of the search, results that an earlier job left being looked up."""
    looked_up: int
    """Evaluations whose measurement was looked up."""
    error: str = ""
    """Why there is no answer."""

    def to_dict(self) -> dict[str, Any]:
        """Return the flat JSON document; an answer's values are null where there is none."""
        document = {name: getattr(self, name) for name in _ROW}
        values = dict.fromkeys(_ANSWER) if self.answer is None else asdict(self.answer)
        return {**document, **values}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Row":
        """Read a document written by `to_dict`."""
        answer = None
        if document["allocation"] is not None:
            answer = Answer(**{name: document[name] for name in _ANSWER})
        return cls(answer=answer, **{name: document[name] for name in _ROW})


@dataclass(frozen=True, kw_only=True, slots=True)
class UniformRow:
    """A uniform allocation, retrained and timed like an answer."""

    bits: int
    seed: int
    answer: Answer

    def to_dict(self) -> dict[str, Any]:
        """Return the flat JSON document."""
        return {"bits": self.bits, "seed": self.seed, **asdict(self.answer)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "UniformRow":
        """Read a document written by `to_dict`."""
        answer = Answer(**{name: document[name] for name in _ANSWER})
        return cls(bits=document["bits"], seed=document["seed"], answer=answer)


_ANSWER = tuple(field.name for field in fields(Answer))
_ROW = tuple(field.name for field in fields(Row) if field.name != "answer")

T = TypeVar("T", Row, UniformRow)


def append_row(path: Path, row: Row | UniformRow) -> None:
    """Append one line; it is on the disk before this returns.

    Raises:
        RunFolderError: the disk is full or read-only.
    """
    append_line(path, row.to_dict())


def read_rows(path: Path, kind: type[T]) -> tuple[T, ...]:
    """Read what earlier parts of a comparison finished; a line that was cut off is removed.

    Raises:
        RunFolderError: a whole line cannot be read.
    """
    if not path.exists():
        return ()
    cut_torn_line(path)
    rows: list[T] = []
    for number, line in enumerate(whole_lines(path.read_bytes()), 1):
        try:
            rows.append(kind.from_dict(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(
                f"expected a finished job in line {number} of {path}, found {error!r}",
                "delete the line, and the job is done again",
            ) from None
    return tuple(rows)


def rows_csv(rows: Sequence[Row], all_8_ms: float) -> str:
    """Return the rows as CSV, bits as one column, and latencies also as shares of `all_8_ms`."""
    names = [*_ROW, *(name for name in _ANSWER if name != "allocation")]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*names, "latency_ratio", "bits"])
    for row in rows:
        document, answer = row.to_dict(), row.answer
        derived = ["", ""] if answer is None else [answer.latency_ms / all_8_ms, answer.bits]
        writer.writerow([*(document[name] for name in names), *derived])
    return buffer.getvalue()
