"""The final table: what is reported, as rich text and CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict

from rich import box
from rich.table import Table

from env.decisions.budget import MEASURED_TOLERANCE, Budget
from experiments.record.result_row import ResultRow
from experiments.terminal.tables import print_whole
from hardware.energy.energy import MODELLED, NO_METER, UNSTABLE_ERROR
from hardware.measuring.measurement import Measurement
from quant.allocation import Allocation
from quant.layers import LayerSpec
from quant.objective.metric import Metric
from quant.objective.paired import PAIRED_COLUMNS, PairedDifference, paired_cells
from quant.objective.scores import Score

_FLOAT_BYTES = 4


def float_row(
    layers: Sequence[LayerSpec],
    score: Score,
    beside_reference: PairedDifference | None,
    name: str = "float",
) -> ResultRow:
    """Return the row of a float network, 4 bytes for each parameter; it is not timed."""
    return ResultRow(
        name=name,
        metric=score.metric,
        score=score.value,
        score_se=score.standard_error,
        beside_reference=beside_reference,
        model_bytes=_FLOAT_BYTES * sum(layer.parameters for layer in layers),
    )


def quantized_row(
    name: str,
    allocation: Allocation,
    *,
    metric: Metric,
    score: float,
    score_se: float | None,
    beside_reference: PairedDifference | None,
    kept: str,
    model_bytes: int,
    measurement: Measurement | None,
    budget: Budget,
) -> ResultRow:
    """Return the row of one allocation, judged against the budget by what was measured."""
    weight_bits, activation_bits = allocation.mean_bits()
    latency_ms = None if measurement is None else measurement.median_ms
    energy = None if measurement is None else measurement.energy
    return ResultRow(
        name=name,
        metric=metric,
        score=score,
        score_se=score_se,
        beside_reference=beside_reference,
        kept=kept,
        model_bytes=model_bytes,
        latency_ms=latency_ms,
        latency_iqr_ms=None if measurement is None else measurement.iqr_ms,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        in_float=allocation.in_float,
        inside_budget=budget.allows(
            latency_ms=latency_ms,
            model_bytes=model_bytes,
            energy_mj=None if energy is None else energy.gross_mj,
            tolerance=MEASURED_TOLERANCE,
        ),
        energy_mj=None if energy is None else energy.gross_mj,
        energy_net_mj=None if energy is None else energy.net_mj,
        energy_error_mj=None if energy is None else energy.error_mj,
        idle_w=None if energy is None else energy.idle_w,
        energy_source=NO_METER if energy is None else energy.source,
        source="" if measurement is None else measurement.source,
        verdict="" if measurement is None else str(measurement.verdict),
    )


def draw_table(rows: Sequence[ResultRow], budget: Budget, split: str) -> Table:
    """Draw the rows for a terminal.

    Args:
        rows: The float network first.
        budget: Named in the caption.
        split: Which images the scores are of, `search` or `test`.
    """
    sources = " and ".join(sorted({row.source for row in rows if row.source}))
    metric = rows[0].metric
    caption = (
        f"{metric.name} on the {split} split ± standard error; latency {sources or 'not measured'}"
    )
    caption += f", median and IQR; budget: {budget}"
    if any(row.verdict.startswith("unstable") for row in rows):
        caption += "\n* unstable: the machine was busy, or the repeats disagree"
    if any(row.in_float for row in rows):
        caption += "\nbits are means over the layers; weights in float count as 32"
    if (last := rows[-1]).in_float:
        caption += f"; in float in {last.name}: {', '.join(last.in_float)}"
    table = Table(box=box.SIMPLE, caption=caption, caption_justify="left")
    table.add_column("", no_wrap=True)
    for name in (metric.heading, "latency ms", "IQR ms", "bytes", "bits w/a", "inside"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def draw_differences(rows: Sequence[ResultRow]) -> Table | None:
    """Draw scores and losses beside all-8-bit's for a terminal; None where none is known."""
    known = [(row, row.beside_reference) for row in rows if row.beside_reference is not None]
    if not known:
        return None
    caption = "less all-8-bit on the same images ± paired standard error; unpaired: the standard "
    caption += "error had each been scored on images of its own"
    if began := [row.name for row in rows if row.kept == "start"]:
        caption += f"\nno training step helped, kept as before the first: {', '.join(began)}"
    table = Table(box=box.SIMPLE, caption=caption, caption_justify="left")
    table.add_column("", no_wrap=True)
    metric = rows[0].metric
    for name in (metric.difference_heading, "unpaired", "loss", "unpaired"):
        table.add_column(name, justify="right", no_wrap=True)
    for row, difference in known:
        table.add_row(
            row.name,
            metric.difference(difference.score, difference.score_se),
            f"± {metric.error(difference.score_unpaired_se)}",
            f"{difference.loss:+.4f} ± {difference.loss_se:.4f}",
            f"± {difference.loss_unpaired_se:.4f}",
        )
    return table


def draw_energies(rows: Sequence[ResultRow]) -> Table | None:
    """Draw the rows that have an energy for a terminal; None where there is no meter.

    One table of times and energies would be too wide for a terminal.
    """
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


def print_results(rows: Sequence[ResultRow], budget: Budget, split: str) -> None:
    """Print the tables of scores, times and energies on stdout."""
    tables = (draw_table(rows, budget, split), draw_differences(rows), draw_energies(rows))
    print_whole(*(table for table in tables if table is not None))


def to_csv(rows: Sequence[ResultRow]) -> str:
    """Return the rows as CSV with a header; what is None is empty."""
    buffer = io.StringIO()
    names = [name for name in ResultRow.__dataclass_fields__ if name != "beside_reference"]
    writer = csv.DictWriter(
        buffer, [*names, *PAIRED_COLUMNS], extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(
        asdict(row)
        | {"metric": row.metric.name, "in_float": " ".join(row.in_float)}
        | paired_cells(row.beside_reference)
        for row in rows
    )
    return buffer.getvalue()


def _cells(row: ResultRow) -> tuple[str, ...]:
    score = row.metric.number_with_error(row.score, row.score_se)
    latency, iqr, bits = "-", "-", "32/32"
    if row.latency_ms is not None:
        mark = "*" if row.verdict.startswith("unstable") else ""
        latency, iqr = f"{row.latency_ms:.4f}{mark}", f"{row.latency_iqr_ms:.4f}"
    if row.weight_bits is not None:
        bits = f"{row.weight_bits:.1f}/{row.activation_bits:.1f}"
    inside = {None: "-", True: "yes", False: "no"}[row.inside_budget]
    return row.name, score, latency, iqr, str(row.model_bytes), bits, inside


def _gross(row: ResultRow) -> str:
    gross = _four(row.energy_mj)
    if row.energy_source == MODELLED:
        return gross
    return f"{gross} ± {row.energy_error_mj:.2g}" + ("*" if _unstable(row) else "")


def _unstable(row: ResultRow) -> bool:
    return (row.energy_error_mj or 0.0) > UNSTABLE_ERROR * abs(row.energy_mj or 0.0)


def _four(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
