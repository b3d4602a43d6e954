import io
from dataclasses import replace

from rich.console import Console

from env.decisions.budget import Budget
from experiments.record.result_row import ResultRow
from experiments.stages.results_table import draw_energies, quantized_row
from hardware.energy.energy import Energy, modelled_energy
from quant.objective.metric import ACCURACY
from tests.experiments.evaluations import allocation, measurement


def row(name: str, energy: Energy | None) -> ResultRow:
    return quantized_row(
        name,
        allocation(4),
        metric=ACCURACY,
        score=0.9,
        score_se=0.01,
        beside_reference=None,
        kept="",
        model_bytes=1000,
        measurement=replace(measurement(0.5), energy=energy),
        budget=Budget(energy_mj=2.0),
    )


def metered(*blocks_mj: float) -> Energy:
    return Energy(
        source="rapl", what="package-0", blocks_mj=blocks_mj, idle_w=1.5, loops=1000, window_s=0.5
    )


def drawn(rows: list[ResultRow]) -> str:
    table = draw_energies(rows)
    assert table is not None
    buffer = io.StringIO()
    Console(file=buffer, width=80).print(table)
    return " ".join(buffer.getvalue().split())


def test_gross_net_and_idle_are_shown_with_their_meter() -> None:
    text = drawn([row("uniform 8", metered(1.5, 1.51, 1.49)), row("best", metered(1.0, 2.0, 1.5))])
    assert "uniform 8 1.5 ± 0.0058 0.75 1.5 rapl" in text
    assert "best 1.5 ± 0.29* 0.75 1.5 rapl" in text
    assert "unstable: the parts of its window disagree" in text
    assert "by rapl, gross ± standard error; net is without idling" in text


def test_a_modelled_energy_says_so_and_has_no_net() -> None:
    text = drawn([row("best", modelled_energy(3.0, 0.5))])
    assert "best 1.5 - - modelled" in text
    assert "named watts times the time, nobody measured it" in text


def test_the_energy_budget_decides_what_is_inside() -> None:
    assert row("in", metered(2.03)).inside_budget
    assert not row("out", metered(2.05)).inside_budget
    assert not row("unknown", None).inside_budget


def test_without_a_meter_there_is_no_table() -> None:
    assert draw_energies([row("best", None)]) is None
