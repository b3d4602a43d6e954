"""The energies of the final table, drawn below it: one table of both is too wide for a terminal."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from experiments.stages.results_table import ResultRow
from hardware.energy.energy import MODELLED, UNSTABLE_ERROR

__all__ = ["draw_energies"]


def draw_energies(rows: Sequence[ResultRow]) -> Table | None:
    """Draw the rows that have an energy for a terminal; None where there is no meter."""
    metered = [row for row in rows if row.energy_mj is not None]
    if not metered:
        return None
    sources = sorted({row.energy_source for row in metered})
    caption = f"millijoules of one execution by {' and '.join(sources)}"
    caption += (
        ": named watts times the time, nobody measured it"
        if sources == [MODELLED]
        else ", gross ± standard error; net is without idling"
    )
    if any(_unstable(row) for row in metered):
        caption += "\n* unstable: the parts of its window disagree"
    table = Table(box=box.SIMPLE, caption=caption, caption_justify="left")
    table.add_column("", no_wrap=True)
    for name in ("gross mJ", "net mJ", "idle W", "source"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in metered:
        table.add_row(
            row.name, _gross(row), _four(row.energy_net_mj), _four(row.idle_w), row.energy_source
        )
    return table


def _gross(row: ResultRow) -> str:
    gross = _four(row.energy_mj)
    if row.energy_source == MODELLED:
        return gross
    return f"{gross} ± {row.energy_error_mj:.2g}" + ("*" if _unstable(row) else "")


def _unstable(row: ResultRow) -> bool:
    return (row.energy_error_mj or 0.0) > UNSTABLE_ERROR * abs(row.energy_mj or 0.0)


def _four(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
