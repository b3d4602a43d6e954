"""Table of modelled cycles, and what the model is worth where the kernels were timed as well."""

from collections.abc import Iterator

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table

from experiments.bench.mca.bench import WORST_ERROR, McaBench, McaRow


def draw_mca(bench: McaBench) -> Group:
    """Draw instructions and modelled cycles, their ratios to the first width, and errors."""
    timed = any(row.measured_us for row in bench.rows)
    table = Table(box=box.SIMPLE, title=f"{bench.core}, modelled by llvm-mca", title_justify="left")
    table.add_column("layer", no_wrap=True)
    table.add_column("bits", no_wrap=True)
    table.add_column("kernel", no_wrap=True)
    heads = ["instructions", "ratio", "modelled cycles", "ratio"]
    for head in [*heads, *(["measured us", "error"] if timed else [])]:
        table.add_column(head, justify="right")
    first: dict[tuple[str, str], McaRow] = {}
    for row in bench.rows:
        base = first.setdefault((row.layer, row.group), row)
        if base is row and len(first) > 1:
            table.add_section()
        table.add_row(*_cells(bench, row, base))
    return Group(table, *notes(bench))


def notes(bench: McaBench) -> Iterator[str]:
    """Yield what a reader must know of these numbers."""
    yield (
        "Modelled: every load hits the first cache, every branch is foretold, and each block "
        "overlaps with itself alone. ratio: to the first width of the same layer and group."
    )
    for group, speed in bench.cycles_per_us.items():
        errors = [abs(bench.error(row)) for row in bench.rows if row.group == group]
        yield (
            f"{group}: {speed / 1000:.2f} modelled cycles in a nanosecond, in the middle; error is "
            f"against that. Half of the rows are within {np.median(errors):.0%}, all within "
            f"{max(errors):.0%}. Beyond {WORST_ERROR:.0%} no cycles are shown: trust the "
            "instructions alone."
        )


def _cells(bench: McaBench, row: McaRow, base: McaRow) -> Iterator[str]:
    kernel, first = row.kernel, base.kernel
    yield row.layer if row is base else ""
    yield f"{row.pair[0]}/{row.pair[1]}"
    yield kernel.family
    yield f"{kernel.instructions:,}"
    yield f"{kernel.instructions / first.instructions:.2f}"
    wrong = [one for one in (row, base) if one.measured_us and abs(bench.error(one)) > WORST_ERROR]
    yield "-" if row in wrong else f"{kernel.cycles:,.0f}"
    yield "-" if wrong else f"{kernel.cycles / first.cycles:.2f}"
    if row.measured_us:
        yield f"{row.measured_us:.4g}"
        yield f"{bench.error(row):+.0%}"
