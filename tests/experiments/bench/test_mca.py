"""bench mca: modelled figures say so, and cycles that a timing contradicts are not shown."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from experiments.bench.command import main
from experiments.bench.mca import bench as mca
from experiments.bench.mca.bench import McaBench, McaRow
from experiments.bench.mca.table import draw_mca
from hardware.modelled.kernel_model import ModelledKernel


def row(bits: int, cycles: float, measured_us: float | None = None, group: str = "avx2") -> McaRow:
    kernel = ModelledKernel(family=f"{group}-{bits}", instructions=1000 * bits, cycles=cycles)
    return McaRow(
        layer="conv", group=group, pair=(bits, bits), kernel=kernel, measured_us=measured_us
    )


def drawn(*rows: McaRow) -> str:
    console = Console(width=200, record=True, file=StringIO())
    console.print(draw_mca(McaBench(core="a core", rows=rows)))
    return console.export_text()


def test_errors_are_against_the_middle_of_a_group() -> None:
    rows = (row(8, 800, 1.0), row(4, 400, 0.5), row(2, 400, 0.25), row(8, 9, 1.0, "avx-vnni"))
    bench = McaBench(core="a core", rows=rows)
    assert bench.cycles_per_us == {"avx2": 800.0, "avx-vnni": 9.0}
    assert [bench.error(one) for one in rows] == [0.0, 0.0, 1.0, 0.0]


def test_cycles_that_a_timing_contradicts_are_not_shown() -> None:
    text = drawn(row(8, 8000, 1.0), row(4, 4000, 0.5), row(2, 4000, 0.25))
    assert "modelled" in text
    assert "0.50" in text
    (wrong,) = [line for line in text.splitlines() if "avx2-2" in line]
    assert "4,000" not in wrong
    assert "2,000" in wrong  # instructions
    assert "+100%" in wrong


def test_without_a_timing_all_cycles_are_shown_as_modelled() -> None:
    text = drawn(row(8, 8000), row(4, 4000))
    assert "4,000" in text
    assert "modelled cycles" in text
    assert "error" not in text


def test_wrong_widths_and_layers_are_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["mca", "--target.board", "rpi5", "--bits", "9"]) == 2
    assert "--bits: expected 2 to 8, found 9" in capsys.readouterr().err
    assert main(["mca", "--target.board", "rpi5", "--layers", "conv9x9"]) == 2
    assert "found conv9x9" in capsys.readouterr().err


def test_a_board_is_modelled_with_dot_product_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def model(graph: object, bits: object, target: object, core: str, **_: object) -> object:
        asked.append((target.family, core))  # type: ignore[attr-defined]
        return {"conv": {(8, 8): row(8, 1.0).kernel}}

    monkeypatch.setattr(mca, "model_layers", model)
    assert main(["mca", "--target.board", "rpi5", "--layers", "conv3x3-8x8x64", "--quiet"]) == 0
    assert asked == [("arm-dot", "neoverse-n1"), ("neon", "neoverse-n1")]
