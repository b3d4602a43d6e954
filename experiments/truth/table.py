"""TruthTable: rows of truth and the times that go with them, in one small file (docs/truth.md).

A zip of arrays as numpy writes them, read without executing anything:

    header    uint8 [bytes]      UTF-8 JSON: `TruthHeader`
    number    int16 [R]          allocation, -1 for all-8
    seed      uint8 [R]          number of the retraining
    score     float32 [R]        accuracy, 0..1
    loss      float32 [R]        mean over the search images
    loss_se   float32 [R]        paired standard error of the loss less all-8's
    kept      bool [R]           whether the training was kept
    looks     float32 [R, D]     mean loss after each decision
    majority  uint8 [N / 8]      images that most rows are right on, packed
    right     uint8 [R, N / 8]   images that a row is right on, XOR the majority's
"""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from env.decisions.layer_rules import parse_rules
from env.decisions.space import decision_space
from experiments.terminal.typed import typed_sibling
from experiments.truth.row import ALL_8, Hits, TruthRow, pack_hits
from experiments.truth.row_file import Rows, check_subject, read_rows
from experiments.truth.subject import TruthSource, TruthSubject
from experiments.truth.subspace import Subspace
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.errors import DataError
from quant.layers import MAX_BITS, LayerSpec
from quant.records.atomic_file import atomic_file
from quant.records.json_form import from_plain, json_text

_SCHEMA = 1
_ENDING = ".npz"
_LARGEST = 64 * 2**20
"""Bytes that one array may unpack to."""

_HALF_AN_IMAGE = 0.5

SURE = 8
"""Rows from which an allocation's mean is believed when the best is looked for."""

SHOWN, JUDGE = slice(0, None, 2), slice(1, None, 2)
"""Images that a search is shown, and those that its answer is judged by: every other one each."""

FINALISTS = 30
"""Best allocations inside a budget, which are refined to so many rows."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """One view of one machine: each layer at each pair of widths, and some whole programs."""

    view: str
    """What the kernels are made of, as `avx2`."""
    cpu: str
    table: LayerTable
    measured_ms: dict[str, float] = field(default_factory=dict)
    """Whole programs of some allocations, by number: what the table's sums are compared with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TruthHeader:
    """What a table is of."""

    subject: TruthSubject
    sources: list[TruthSource]
    layers: tuple[LayerSpec, ...]
    times: list[Times]
    """The first is what budgets are made of."""
    schema: int = _SCHEMA


@dataclass(frozen=True, kw_only=True, eq=False)
class TruthTable:
    """Every retraining of every allocation; R rows in the order of their numbers and seeds."""

    header: TruthHeader
    number: Integers
    seed: Integers
    score: Floats
    loss: Floats
    loss_se: Floats
    kept: npt.NDArray[np.bool_]
    looks: Floats
    right: npt.NDArray[np.uint8]
    """Packed bits `[R, N / 8]`."""

    @cached_property
    def subspace(self) -> Subspace:
        """The allocations."""
        env = self.header.subject.env
        rules = parse_rules(tuple(env["layers"]))
        return Subspace(space=decision_space(self.header.layers, env["bit_choices"], rules))

    @cached_property
    def rows_of(self) -> dict[int, Integers]:
        """Positions of each allocation's rows, by number; `ALL_8` for the reference."""
        order = np.argsort(self.number, kind="stable")
        numbers, starts = np.unique(self.number[order], return_index=True)
        return dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))

    @property
    def in_order(self) -> list[Integers]:
        """Positions of each allocation's rows, in the order of their numbers; none of all-8."""
        return [self.rows_of[number] for number in range(len(self.subspace))]

    @cached_property
    def seeds_of_all(self) -> list[int]:
        """The retraining seeds that every allocation has, in increasing order."""
        found = set(self.seed.tolist())
        for rows in self.rows_of.values():
            found &= set(self.seed[rows].tolist())
        return sorted(found)

    def hits(self, row: int) -> Hits:
        """Return which images a row is right on, bool `[N]`."""
        bits = np.unpackbits(self.right[row], count=self.header.subject.images)
        return bits.astype(np.bool_)

    @cached_property
    def judged(self) -> Floats:
        """Accuracy of each row on the images that judge, `[R]`: those that no search sees."""
        return np.array([self.hits(row)[JUDGE].mean() for row in range(len(self.number))])

    @cached_property
    def predicted_ms(self) -> Floats:
        """Milliseconds of each allocation by the layer table, `[allocations]`."""
        table, space = self.header.times[0].table, self.subspace.space
        bits = map(self.subspace.bits, range(len(self.subspace)))
        return np.array([table.predict_ms(space.allocation(widths)) for widths in bits])

    @cached_property
    def mean_scores(self) -> Floats:
        """Accuracy of each allocation, the mean of its rows, `[allocations]`."""
        return np.array([self.score[self.rows_of[n]].mean() for n in range(len(self.subspace))])

    def limit_ms(self, share: float) -> float:
        """Return the budget that lies so far on the way from the fastest allocation to all-8."""
        all_8 = Allocation.uniform(self.header.layers, MAX_BITS)
        all_8_ms = self.header.times[0].table.predict_ms(all_8)
        fastest_ms = float(self.predicted_ms.min())
        return fastest_ms + share * (all_8_ms - fastest_ms)

    def inside(self, share: float) -> Integers:
        """Return the numbers of the allocations inside a budget."""
        return np.flatnonzero(self.predicted_ms <= self.limit_ms(share))

    def check(self) -> None:
        """Refuse a table that cannot be judged by.

        Raises:
            DataError: an allocation has fewer than two rows or one twice, all-8 lacks a seed, or
                scores are not those of the images.
        """
        pairs = np.stack([self.number, self.seed], axis=1)
        if len(np.unique(pairs, axis=0)) < len(pairs):
            raise DataError("expected one row for an allocation and a seed, found some twice")
        images = self.header.subject.images
        right = np.array([int(self.hits(row).sum()) for row in range(len(self.number))])
        if (np.abs(right - images * self.score) > _HALF_AN_IMAGE).any():
            raise DataError("expected scores of the images that rows are right on, found others")
        seeds = set(self.seed.tolist())
        eight = self.rows_of.get(ALL_8, np.zeros(0, dtype=np.int64))
        if missing := seeds - set(self.seed[eight].tolist()):
            raise DataError(f"expected all-8 for each seed, found none for {sorted(missing)}")
        few = [n for n in range(len(self.subspace)) if len(self.rows_of.get(n, ())) < 2]
        if few:
            raise DataError(
                f"expected two rows of every allocation, found fewer of {len(few)} of "
                f"{len(self.subspace)}",
                f"go on with {typed_sibling('tabulate')}",
            )

    def save(self, path: Path) -> None:
        """Write the file in one step."""
        bits = np.unpackbits(self.right, axis=1)
        majority = np.packbits(bits.mean(0) > 0.5)
        arrays = {
            "header": np.frombuffer(json_text(self.header).encode(), np.uint8),
            "number": self.number.astype("<i2"),
            "seed": self.seed.astype(np.uint8),
            "score": self.score.astype("<f4"),
            "loss": self.loss.astype("<f4"),
            "loss_se": self.loss_se.astype("<f4"),
            "kept": self.kept,
            "looks": self.looks.astype("<f4"),
            "majority": majority,
            "right": self.right ^ majority,
        }
        with atomic_file(path) as made, made.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)


def table_of(rows: Rows, layers: tuple[LayerSpec, ...], times: list[Times]) -> TruthTable:
    """Return the table of rows that were read."""
    ordered = [rows.rows[key] for key in sorted(rows.rows)]
    images = rows.subject.images
    return TruthTable(
        header=TruthHeader(subject=rows.subject, sources=rows.sources, layers=layers, times=times),
        number=np.array([row.number for row in ordered], dtype=np.int64),
        seed=np.array([row.seed for row in ordered], dtype=np.int64),
        score=np.array([row.score for row in ordered]),
        loss=np.array([row.loss for row in ordered]),
        loss_se=np.array([row.loss_se for row in ordered]),
        kept=np.array([row.kept == "trained" for row in ordered]),
        looks=np.array([row.looks for row in ordered]),
        right=np.packbits(np.stack([row.hits(images) for row in ordered]), axis=1),
    )


def read_shards(paths: Sequence[Path]) -> Rows:
    """Read files of one subject: rows as they were made, or tables, which hold all of theirs.

    Raises:
        RunFolderError: a file of rows is missing or damaged, or one is of another subject.
        DataError: the same of a table.
    """
    files = [path for path in paths if path.suffix != _ENDING]
    parts = [_rows_of(read_table(path)) for path in paths if path.suffix == _ENDING]
    parts = [read_rows(files), *parts] if files or not parts else parts
    found = parts[0]
    for other in parts[1:]:
        check_subject(other.subject, found.subject, "--rows")
        found.sources.extend(source for source in other.sources if source not in found.sources)
        for key, row in other.rows.items():
            found.rows.setdefault(key, row)
    return found


def _rows_of(table: TruthTable) -> Rows:
    rows = [
        TruthRow(
            number=int(table.number[position]),
            seed=int(table.seed[position]),
            score=float(table.score[position]),
            loss=float(table.loss[position]),
            loss_se=float(table.loss_se[position]),
            kept="trained" if table.kept[position] else "start",
            looks=tuple(table.looks[position].tolist()),
            right=pack_hits(table.hits(position)),
        )
        for position in range(len(table.number))
    ]
    return Rows(
        subject=table.header.subject,
        sources=list(table.header.sources),
        rows={(row.number, row.seed): row for row in rows},
    )


def read_table(path: Path) -> TruthTable:
    """Read a file.

    Raises:
        DataError: it is missing, damaged, or something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if any(info.file_size > _LARGEST for info in archive.infolist()):
                raise ValueError(f"an array of more than {_LARGEST} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            return _table(arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"expected a table of truth at {path}, found something else: {error}",
            "name a file that experiments.tabulate --table wrote",
        ) from None


def _table(arrays: Any) -> TruthTable:
    document = json.loads(arrays["header"].tobytes())
    header = from_plain(TruthHeader, document)
    if header.schema != _SCHEMA:
        raise ValueError(f"schema {header.schema}, and this version reads {_SCHEMA}")
    count, decisions = len(arrays["number"]), len(header.subject.menus)
    packed = -(-header.subject.images // 8)
    shapes = {
        **dict.fromkeys(("number", "seed", "score", "loss", "loss_se", "kept"), (count,)),
        "looks": (count, decisions),
        "majority": (packed,),
        "right": (count, packed),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} of shape {arrays[name].shape} in place of {shape}")
        if not np.isfinite(arrays[name].astype(np.float64)).all():
            raise ValueError(f"{name} with values that are no numbers")
    table = TruthTable(
        header=header,
        number=arrays["number"].astype(np.int64),
        seed=arrays["seed"].astype(np.int64),
        score=arrays["score"].astype(np.float64),
        loss=arrays["loss"].astype(np.float64),
        loss_se=arrays["loss_se"].astype(np.float64),
        kept=arrays["kept"].astype(np.bool_),
        looks=arrays["looks"].astype(np.float64),
        right=arrays["right"] ^ arrays["majority"],
    )
    if not ((table.number >= ALL_8) & (table.number < len(table.subspace))).all():
        raise ValueError("numbers of allocations that its space does not have")
    return table
