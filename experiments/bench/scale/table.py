"""Drawing of what a search would cost."""

from collections.abc import Sequence
from statistics import median

from rich.console import Group
from rich.table import Table

from experiments.bench.scale.bench import ScaleBench


def draw_scale(bench: ScaleBench) -> Group:
    """Draw the account, and what was simulated."""
    table = Table(
        caption=f"{bench.evaluations} evaluations of {bench.images:,} images each, at "
        f"{bench.images_s:,.0f} images a second of a worker ({bench.rate_from}); the board's time "
        f"from {bench.samples} measurements of {bench.run}. Computed, not measured",
        caption_justify="left",
    )
    for name in ("hours of workers, together", "minutes of the board"):
        table.add_column(name, justify="right")
    table.add_row(f"{bench.train_hours:,.1f}", f"{bench.board_minutes:,.1f}")
    return Group(table, *([_draw_simulated(bench)] if bench.simulated else []))


def _draw_simulated(bench: ScaleBench) -> Table:
    parts = list(next(iter(bench.simulated.values()))[0].shares)
    table = Table(
        caption="SIMULATED, with times drawn from that run: median of "
        f"{len(next(iter(bench.simulated.values())))} draws, in brackets the least and the most. "
        "Shares of the time that each part is busy; the largest is what the search waits for",
        caption_justify="left",
    )
    for name in ("workers", "hours", *(f"{part}, %" for part in parts), "waits for"):
        table.add_column(name, justify="right")
    for workers, found in bench.simulated.items():
        shares = [median(each.shares[part] for each in found) for part in parts]
        busiest = [each.busiest for each in found]
        table.add_row(
            str(workers),
            _spread([each.wall_s / 3600 for each in found]),
            *(f"{100 * share:.0f}" for share in shares),
            max(set(busiest), key=busiest.count),
        )
    return table


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
