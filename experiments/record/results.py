"""The documents of a run's end: `results.json` and `evaluate.json`, as every reader has them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from experiments.record.result_row import ResultRow
from quant.allocation import Allocation
from quant.records.json_form import from_plain
from quant.records.strict_json import parse_json


@dataclass(frozen=True, kw_only=True, slots=True)
class _Timed:
    source: str
    device: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Best:
    evaluation: int
    allocation: Allocation
    measurement: _Timed


@dataclass(frozen=True, kw_only=True, slots=True)
class _Results:
    """What readers look at, so that damage shows while the file can be named."""

    split: str
    seconds: float
    best: _Best
    missed_the_budget: tuple[dict[str, Any], ...]
    search_origin: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _TestResults:
    split: str
    steps: int


def document_from(content: bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        ValueError: it is something else.
    """
    found = parse_json(content)
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, found {type(found).__name__}")
    return found


def results_from(content: bytes) -> Mapping[str, Any]:
    """Return what `results.json` holds.

    Raises:
        ValueError: it is of another form; names the place.
    """
    document = document_from(content)
    from_plain(_Results, document)
    return {**document, "rows": _rows_from(document)}


def test_results_from(content: bytes) -> Mapping[str, Any]:
    """Return what `evaluate.json` holds.

    Raises:
        ValueError: it is of another form; names the place.
    """
    document = document_from(content)
    from_plain(_TestResults, document)
    return {**document, "rows": _rows_from(document)}


def _rows_from(document: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the rows of a table by field, in the names of today; the metric of each is one."""
    rows = []
    for row in document["rows"]:
        now = {name.replace("accuracy", "score"): value for name, value in row.items()}
        found = from_plain(ResultRow, now)
        rows.append({field.name: getattr(found, field.name) for field in fields(found)})
    if not rows:
        raise ValueError("expected the rows of a table, found none")
    return tuple(rows)
