"""The tables of a comparison, for a terminal."""

from rich.table import Table

from experiments.compare.comparison import Comparison


def draw_answers(comparison: Comparison) -> Table:
    """Return score and latency of every method at every budget, and its hypervolume."""
    table = _by_budget(
        comparison,
        f"{comparison.task}: test {comparison.metric.name} and latency / all-8 latency "
        f"({comparison.source})",
        "mean ± standard deviation over the seeds; hypervolume with a bootstrap interval of 95 %",
    )
    table.add_column("hypervolume", justify="right")
    for method in comparison.methods:
        cells = [_cell(comparison, method, budget) for budget in comparison.plan.budgets]
        area = comparison.hypervolume(method)
        shown = "-" if area is None else f"{area.mean:.4f} [{area.low:.4f}, {area.high:.4f}]"
        table.add_row(method, *cells, shown)
    return table


def draw_pairs(comparison: Comparison) -> Table:
    """Return what each method's answers gain on those of the first one, on the same images."""
    first, *others = comparison.methods
    metric = comparison.metric
    table = _by_budget(
        comparison,
        f"better than {first} by ({metric.difference_heading})",
        "on the same test images, mean over the seeds, with the images' paired standard error, "
        "which further seeds do not narrow; above zero is better",
    )
    for method in others:
        pairs = [comparison.pair(method, first, budget) for budget in comparison.plan.budgets]
        table.add_row(
            method,
            *(
                "none" if pair is None else metric.difference(pair.gain, pair.gain_se)
                for pair in pairs
            ),
        )
    return table


def draw_costs(comparison: Comparison) -> Table:
    """Return what each method's searches used, in the mean."""
    table = Table(
        title="cost of one search",
        caption="samples and device seconds are charged in full where a result was looked up",
        caption_justify="left",
    )
    table.add_column("method")
    for name in ("evaluations", "training samples", "device s", "wall s"):
        table.add_column(name, justify="right")
    for method in comparison.methods:
        cost = comparison.cost(method)
        table.add_row(
            method,
            f"{cost['evaluations']:.1f}",
            f"{cost['training_samples']:,.0f}",
            f"{cost['device_s']:.1f}",
            f"{cost['wall_s']:.0f}",
        )
    return table


def _by_budget(comparison: Comparison, title: str, caption: str) -> Table:
    """Return a table without rows: a column for the method and one for each budget."""
    table = Table(title=title, caption=caption, caption_justify="left")
    table.add_column("method")
    for budget in comparison.plan.budgets:
        table.add_column(f"budget {100 * budget:g} %", justify="right")
    return table


def _cell(comparison: Comparison, method: str, budget: float) -> str:
    score, ratio = comparison.score(method, budget), comparison.ratio(method, budget)
    if score is None or ratio is None:
        return "none"
    missing = comparison.plan.seeds - score.count
    note = f" ({missing} without)" if missing else ""
    shown = comparison.metric.text_with_error(score.mean, score.deviation)
    return f"{shown} at {ratio.mean:.3f}{note}"
