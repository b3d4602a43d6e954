"""Drawing of a matrix: what was made for each view on every view, and its bits."""

from collections.abc import Iterator

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table

from env.decisions.budget import LEAST_GAIN, MEASURED_TOLERANCE
from experiments.bench.specialisation.cell import Cell
from experiments.bench.specialisation.results import Row, Specialisation
from experiments.bench.specialisation.sentence import lost_number, lost_unit


def draw_specialisation(found: Specialisation) -> Group:
    """Draw the matrix, each layer's bits, what must be known of them, and what it shows."""
    return Group(_draw_bits(found), _draw_matrix(found), *_notes(found), "", found.sentence)


def _draw_matrix(found: Specialisation) -> Table:
    table = Table(
        box=box.SIMPLE,
        title=f"{found.task}, seed {found.seed}: milliseconds on each view, and their ratio to "
        "what was made for it",
        title_justify="left",
    )
    table.add_column("made for", no_wrap=True)
    lost = f"lost, {lost_unit(found.metric)}".removesuffix(", ")
    table.add_column(f"{lost} ({found.losses_are})", justify="right")
    for row in found.rows:
        table.add_column(f"on {_title(row)}", justify="right", no_wrap=True)
    for row in found.rows:
        cells = (_cell(found.cell(row.view, column.view)) for column in found.rows)
        table.add_row(row.view, _lost(found, row), *cells)
    table.add_section()
    owns = [found.cell(row.view, row.view) for row in found.rows]
    all_8 = (_time(row.all_8_ms, own) for row, own in zip(found.rows, owns, strict=True))
    table.add_row("(all-8)", lost_number(found.metric, 0.0), *all_8)
    table.add_row("(budget)", "", *(_time(own.limit_ms, own) for own in owns))
    return table


def _draw_bits(found: Specialisation) -> Table:
    table = Table(box=box.SIMPLE, title="weight/activation bits", title_justify="left")
    table.add_column("layer", no_wrap=True)
    for row in found.rows:
        table.add_column(row.view, justify="right", no_wrap=True)
    for layer, _ in found.rows[0].allocation.items:
        bits = [row.allocation[layer] for row in found.rows]
        table.add_row(layer, *(f"{one.weight_bits}/{one.activation_bits}" for one in bits))
    return table


def _title(row: Row) -> str:
    return row.view if row.source == "measured" else f"{row.view} ({row.source})"


def _cell(cell: Cell) -> str:
    marks = ("" if cell.keeps else " over") + ("" if cell.stable else "*")
    return f"{cell.latency_ms:.4g} {cell.ratio:.2f}x{marks}"


def _time(time_ms: float, own: Cell) -> str:
    return f"{time_ms:.4g} {time_ms / own.own_ms:.2f}x"


def _lost(found: Specialisation, row: Row) -> str:
    if not row.retrained:
        return lost_number(found.metric, row.lost)
    values = [one.lost for one in row.retrained]
    # The images are the same for all seeds: their error is no smaller for more of them.
    images = float(np.mean([one.lost_se**2 for one in row.retrained]))
    seeds = float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0
    error = found.metric.factor * float(np.sqrt(images + seeds))
    predicted = lost_number(found.metric, row.predicted_lost)
    return f"{lost_number(found.metric, row.lost)} ± {error:.2f} (predicted {predicted})"


def _notes(found: Specialisation) -> Iterator[str]:
    """Yield what a reader must know of these numbers."""
    yield (
        f"Budget of each view: {100 * found.share:g} % of the way from the fastest uniform "
        f"allocation's time to all-8's. over: beyond it by more than the {MEASURED_TOLERANCE:.0%} "
        "to which timings repeat; *: unstable. Predicted losses are a model's, from the network's "
        "sensitivities before any retraining."
    )
    if any(row.source == "modelled" for row in found.rows):
        yield (
            "modelled: sums of the layers' cycles by LLVM's model of the core at the board's "
            "clock, without what no layer accounts for; nothing ran."
        )
    for row in found.rows:
        if row.saves < LEAST_GAIN:
            yield (
                f"{row.view}: no uniform allocation saves more than {max(0.0, row.saves):.1%} of "
                "all-8's time there, less than can be told: its budget is all-8's time."
            )
    if found.left_out:
        yield f"{found.left_out}."
