"""Cells on the disk: what was measured is not measured again, unless the code is another."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from experiments.errors import RunFolderError
from tools.retraining_table.cells import Asked, Cell, Cells, packed
from tools.retraining_table.ways import descent_at

HITS = torch.tensor([True, False, True, True, False, False, True, False, True, True])
ASKED = Asked(
    network="raw",
    weights="0",
    bits=4,
    way="descent",
    config=descent_at(1e-3),
    seed=1,
    part="search",
    images=len(HITS),
)


def cell(asked: Asked = ASKED, *, hits: torch.Tensor = HITS, code: str = "now") -> Cell:
    return Cell(
        asked=asked,
        right=packed(hits),
        correct=int(hits.sum()),
        kept="trained",
        seconds=1.5,
        code=code,
        commit="a",
        cpu="b",
    )


def test_a_cell_is_found_again_with_every_image(tmp_path: Path) -> None:
    file = tmp_path / "table.jsonl"
    Cells(file, "now").add(cell())
    cells = Cells(file, "now")
    found = cells.get(ASKED)
    assert found == cell()
    assert torch.equal(found.hits.bool(), HITS)
    assert found.accuracy == 60.0
    assert cells.used == [found]
    for other in (replace(ASKED, seed=2), replace(ASKED, config=descent_at(1e-2))):
        assert cells.get(other) is None


def test_a_torn_line_is_measured_again(tmp_path: Path) -> None:
    file = tmp_path / "table.jsonl"
    Cells(file, "now").add(cell())
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2])
    cells = Cells(file, "now")
    cells.add(cell(replace(ASKED, seed=2)))
    assert Cells(file, "now").get(replace(ASKED, seed=2)) is not None
    assert len(file.read_text().splitlines()) == 2


def test_cells_of_other_code_count_only_where_they_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "table.jsonl"
    before = cell(code="before")
    Cells(file, "before").add(before)
    assert Cells(file, "now").get(ASKED) is None
    assert Cells(file, "now", keep_older=["ours"]).get(ASKED) is None
    assert Cells(file, "now", keep_older=["descent"]).get(ASKED) == before
    Cells(file, "now").add(cell())
    Cells(file, "before").add(before)
    assert Cells(file, "now", keep_older=["descent"]).get(ASKED) == cell()


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "table.jsonl"
    file.write_text('{"index": 0}\n')
    with pytest.raises(RunFolderError, match="expected a cell in line 1 of"):
        Cells(file, "now")
