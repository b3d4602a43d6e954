"""Cells: one network at one width, by one way and seed. Each is on the disk once it is finished."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from experiments.errors import RunFolderError
from experiments.record.lines import append_line, cut_torn_line, whole_lines
from quant.records.json_form import from_plain, to_plain
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.retrained import Kept

FLOAT = "float"
"""In place of a way: the network as it was trained elsewhere."""

Part = Literal["search", "test"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What decides a cell."""

    network: str
    weights: str
    """Digest of the calibrated network."""
    bits: int
    """0 where the way is `float`."""
    way: str
    config: FinetuneConfig
    seed: int
    """0 where nothing is random."""
    part: Part
    """`search`, on its fake-quantized logits, chooses among rates; `test`, on integer codes, is
    what the table shows."""
    images: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What one way led to, image by image."""

    asked: Asked
    right: str
    """Which images are right: their bits, the first image's highest, as base64."""
    correct: int
    kept: Kept | None = None
    """What the retraining ended with; None where there was none."""
    error: str = ""
    """Why nothing came of it; then no image counts as right."""
    seconds: float
    """Of training, where this cell was the first to need it, and of scoring."""
    code: str
    """Digest of the sources that retrain and score."""
    commit: str
    cpu: str

    def __str__(self) -> str:
        """Return what there is to see while cells are filled."""
        asked = self.asked
        rate = "" if asked.config.learning_rate is None else f" at {asked.config.learning_rate:g}"
        what = f"{asked.network}, {asked.bits} bits, {asked.way}{rate}, seed {asked.seed}"
        kept = "" if self.kept is None else f", kept: {self.kept}"
        failed = f", failed: {self.error}" if self.error else ""
        return (
            f"{what}: {self.accuracy:.2f} % of the {asked.part} split{kept}{failed}, "
            f"{self.seconds:.1f} s"
        )

    @property
    def accuracy(self) -> float:
        """Top-1, percent."""
        return 100 * self.correct / self.asked.images

    @property
    def hits(self) -> torch.Tensor:
        """Which images are right, float64 `[N]` of 0 and 1."""
        packed = np.frombuffer(base64.b64decode(self.right), np.uint8)
        return torch.from_numpy(np.unpackbits(packed, count=self.asked.images)).double()


def packed(hits: torch.Tensor) -> str:
    """Return bool `[N]` as `Cell.right` has it."""
    return base64.b64encode(np.packbits(hits.numpy()).tobytes()).decode()


class Cells:
    """The cells of a file of JSON lines; those of other code do not count, unless they are to."""

    def __init__(self, path: Path, code: str, keep_older: Sequence[str] = ()) -> None:
        """Read what is there.

        Args:
            path: The file; it need not exist.
            code: Digest of the present code.
            keep_older: Ways whose cells of other code count, too, where there are no newer.

        Raises:
            RunFolderError: the file is not one of cells.
        """
        self._path = path
        self._found: dict[str, Cell] = {}
        self._used: dict[str, Cell] = {}
        cut_torn_line(path)
        lines = whole_lines(path.read_bytes()) if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                cell = from_plain(Cell, json.loads(line))
            except ValueError as error:
                raise RunFolderError(
                    f"expected a cell in line {number} of {path}, found another document: {error}",
                    "name another file with --json",
                ) from None
            if cell.code == code or cell.asked.way in keep_older:
                self._keep(cell, code)

    def get(self, asked: Asked) -> Cell | None:
        """Return the finished cell, None where there is none."""
        cell = self._found.get(_key(asked))
        if cell is not None:
            self._used[_key(asked)] = cell
        return cell

    def add(self, cell: Cell) -> None:
        """Keep a cell; it is on the disk before this returns.

        Raises:
            RunFolderError: the disk does not take it.
        """
        append_line(self._path, cell)
        self._found[_key(cell.asked)] = self._used[_key(cell.asked)] = cell

    @property
    def used(self) -> list[Cell]:
        """Those that were asked for or added."""
        return list(self._used.values())

    def _keep(self, cell: Cell, code: str) -> None:
        known = self._found.get(_key(cell.asked))
        if known is None or cell.code == code or known.code != code:
            self._found[_key(cell.asked)] = cell


def _key(asked: Asked) -> str:
    plain: Any = to_plain(asked)
    return json.dumps(plain, sort_keys=True)
