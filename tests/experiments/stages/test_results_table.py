import csv
import io
from dataclasses import replace

import pytest
from rich.console import Console

from env.decisions.budget import Budget
from env.testing import conv_layer
from experiments.record.result_row import ResultRow
from experiments.stages.results_table import (
    draw_differences,
    draw_table,
    float_row,
    quantized_row,
    to_csv,
)
from quant.allocation import Allocation, LayerBits
from quant.objective.metric import ACCURACY
from quant.objective.paired import PairedDifference
from quant.objective.scores import Score
from tests.experiments.evaluations import allocation, measurement

BUDGET = Budget(latency_ms=0.5)
DIFFERENCE = PairedDifference(
    score=-0.012,
    score_se=0.0031,
    score_unpaired_se=0.0283,
    loss=0.0456,
    loss_se=0.0078,
    loss_unpaired_se=0.09,
)
WHOLE = Score(metric=ACCURACY, value=0.95, standard_error=0.03, count=100, loss=0.2)


def row(name: str, bits: Allocation, latency_ms: float) -> ResultRow:
    return quantized_row(
        name,
        bits,
        metric=ACCURACY,
        score=0.9,
        score_se=0.02,
        beside_reference=DIFFERENCE,
        kept="trained",
        model_bytes=400,
        measurement=measurement(latency_ms),
        budget=BUDGET,
    )


def rows() -> list[ResultRow]:
    return [
        float_row([conv_layer("first", "input", channels=2)], WHOLE, None),
        row("uniform 8", allocation(8), 0.8),
        row("best", allocation(4, 3), 0.509),
    ]


def text(table_rows: list[ResultRow]) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(draw_table(table_rows, BUDGET, "search"))
    return console.export_text()


def test_rows_hold_bits_bytes_and_the_budget_as_measured() -> None:
    whole, uniform, best = rows()
    assert whole.model_bytes == 4 * 2 * 2 * 9
    assert (whole.latency_ms, whole.inside_budget) == (None, None)
    assert uniform.inside_budget is False
    assert best.inside_budget is True  # 0.509 ms is inside 0.5 ms + 2 %
    assert (best.weight_bits, best.activation_bits) == (4.0, 5.5)
    assert best.latency_iqr_ms == pytest.approx(0.01 * 0.509)


def test_the_terminal_table_names_split_source_and_every_row() -> None:
    shown = text(rows())
    for expected in ("search split", "simulated", "float", "uniform 8", "best", "0.5090"):
        assert expected in shown
    assert "90.00 ± 2.00" in shown
    assert "latency <= 0.5 ms" in shown


def test_an_unstable_row_is_marked() -> None:
    unstable = ResultRow(
        name="best",
        metric=ACCURACY,
        score=0.9,
        score_se=0.01,
        model_bytes=10,
        latency_ms=1.0,
        latency_iqr_ms=0.4,
        source="measured",
        verdict="unstable: IQR is 40% of the median",
    )
    shown = text([unstable])
    assert "1.0000*" in shown
    assert "unstable" in shown


def test_a_mean_that_layers_in_float_are_in_says_what_they_count_as() -> None:
    assert "float count" not in text(rows())
    bits = {**dict(allocation(4).items), "second": LayerBits(weight_bits=32, activation_bits=6)}
    made = [*rows(), row("best found", Allocation.of(bits), 0.4)]
    shown = text(made)
    assert "18.0/7.0" in shown
    assert "weights in float count as 32" in shown
    assert "in float in best found: second" in " ".join(shown.split())
    (*_, last) = csv.DictReader(io.StringIO(to_csv(made)))
    assert last["in_float"] == "second"


def test_csv_holds_what_the_rows_hold() -> None:
    read = list(csv.DictReader(io.StringIO(to_csv(rows()))))
    assert [row["name"] for row in read] == ["float", "uniform 8", "best"]
    assert read[0]["latency_ms"] == ""
    assert float(read[2]["latency_ms"]) == pytest.approx(0.509)
    assert read[0]["beside_reference_score_se"] == ""
    assert float(read[2]["beside_reference_score"]) == -0.012
    assert float(read[2]["beside_reference_score_se"]) == 0.0031
    assert float(read[2]["beside_reference_loss"]) == 0.0456


def test_differences_from_all_8_stand_beside_their_unpaired_errors_and_fit_a_terminal() -> None:
    table = draw_differences([replace(row, name="float, retrained") for row in rows()[1:]])
    assert table is not None
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(table)
    shown = console.export_text()
    assert "-1.20 ± 0.31     ± 2.83   +0.0456 ± 0.0078   ± 0.0900" in shown
    assert "paired standard error" in shown


def test_rows_that_are_paired_with_nothing_have_no_table_of_differences() -> None:
    assert draw_differences(rows()[:1]) is None
