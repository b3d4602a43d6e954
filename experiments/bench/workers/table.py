"""Drawing of a bench of workers."""

import statistics

from rich.table import Table

from experiments.bench.workers.results import ASKED_S, WorkersBench


def draw_workers(bench: WorkersBench) -> Table:
    """Draw rates, their share, and the overhead of one evaluation."""
    table = Table(
        caption=f"{bench.task}; {bench.workers} workers of {bench.threads} threads on {bench.cpus} "
        f"CPUs; simulated device; {len(bench.rounds)} rounds of {bench.rounds[0].evaluations} "
        f"evaluations, whose retraining took {statistics.median(bench.trainings_s):.2f} s in a "
        "worker (median). Medians, with the least and the most",
        caption_justify="left",
    )
    table.add_column("")
    for name in ("median", "least", "most"):
        table.add_column(name, justify="right")
    per_hour = [3600 * each.evaluations / each.cluster_s for each in bench.rounds]
    plain = [3600 * each.evaluations / each.plain_s for each in bench.rounds]
    shares = [each.share for each in bench.rounds]
    overheads = [1000 * each for each in bench.overheads_s]
    of_asked = [100 * each / ASKED_S for each in bench.overheads_s]
    for name, values, digits in (
        ("evaluations an hour, Ray", per_hour, 0),
        ("retrainings an hour, plain processes", plain, 0),
        ("share of the plain processes'", shares, 3),
        ("overhead of one evaluation, ms", overheads, 1),
        (f"overhead, % of an evaluation of {ASKED_S:g} s", of_asked, 2),
    ):
        figures = (statistics.median(values), min(values), max(values))
        table.add_row(name, *(f"{value:,.{digits}f}" for value in figures))
    return table
