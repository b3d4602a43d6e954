"""Drawing of a noise bench: spreads, uniform allocations, and what a sum of effects explains."""

from rich import box
from rich.console import Group
from rich.table import Table

from experiments.bench.noise.additive import AdditiveModel
from experiments.bench.noise.bootstrap import Floats
from experiments.bench.noise.results import NoiseBench, log_losses, losses, scores
from experiments.bench.noise.retraining import Retraining
from experiments.bench.noise.seed_spread import SeedSpread
from quant.objective.metric import Metric


def draw_noise(bench: NoiseBench) -> Group:
    """Draw three tables, each with what its figures are of."""
    return Group(_draw_spreads(bench), _draw_uniform(bench), _draw_additive(bench))


def _draw_spreads(bench: NoiseBench) -> Table:
    count, metric = len(bench.random), bench.metric
    table = _table(
        ("standard deviation", metric.difference_heading, "loss"),
        f"{bench.task}, seed {bench.seed}, on "
        f"{bench.images} images of the search split. Over seeds: each allocation retrained in two "
        f"orders of the same images, {count} random and {len(bench.uniform)} uniform ones; in "
        "brackets 95 % of bootstrap samples of the allocations. Over images and allocations: of "
        "the random ones; paired and unpaired: of the difference from all-8. Training was kept in "
        f"{bench.trained} of their {2 * count} retrainings; the others ended where they began. "
        "Trained ones: random allocations with a training that was kept",
    )
    for name, spreads in (
        ("over seeds, random", bench.seed_spreads),
        ("over seeds, trained ones", bench.trained_seed_spreads),
        ("over seeds, uniform", bench.uniform_seed_spreads),
    ):
        if spreads is None:
            continue
        table.add_row(
            name,
            _interval(spreads.score, metric.factor, _digits(metric)),
            _interval(spreads.loss, 1, 4),
        )
    images = bench.image_spreads
    table.add_row("over images, one network", metric.error(images.score), "")
    for name, score, loss in (
        ("paired", images.paired_score, images.paired_loss),
        ("unpaired", images.unpaired_score, images.unpaired_loss),
    ):
        table.add_row(f"over images, {name}", metric.error(score), f"{loss:.4f}")
    table.add_row(
        "over allocations",
        metric.error(_deviation(scores(bench.random))),
        f"{_deviation(losses(bench.random)):.4f}",
    )
    return table


def _interval(spread: SeedSpread, scale: float, digits: int) -> str:
    deviation, low, high = (scale * each for each in (spread.deviation, spread.low, spread.high))
    return f"{deviation:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _digits(metric: Metric) -> int:
    """Return how many digits of a score stand behind the point."""
    return 2 if metric.is_share else 4


def _deviation(figures: Floats) -> float:
    return float(figures.mean(1).std(ddof=1))


def _draw_uniform(bench: NoiseBench) -> Table:
    metric = bench.metric
    table = _table(
        ("uniform", metric.axis, "loss", "change", "paired", "unpaired", "bootstrap"),
        f"{metric.name} and its change from all-8, with the change's standard error: "
        "paired, image by image (half an image at least); as if the two were scored on different "
        "images; and from 1,000 bootstrap samples of the images. Again: in another order of the "
        "training images",
    )
    for pair in bench.uniform:
        for row in pair:
            table.add_row(*_uniform_cells(row))
    return table


def _uniform_cells(row: Retraining) -> list[str]:
    bits, difference = row.allocation.items[0][1].weight_bits, row.beside_all_8
    metric, drawn = row.score.metric, row.beside_all_8_bootstrap
    errors = (difference.score_se, difference.score_unpaired_se, drawn.score)
    return [
        f"{bits} bits" + (", again" if row.order else ""),
        metric.number(row.score.value),
        f"{row.score.loss:.4f}",
        f"{metric.factor * difference.score:+.{_digits(metric)}f}",
        *(
            "n/a" if error is None else f"{metric.factor * error:.{_digits(metric) + 1}f}"
            for error in errors
        ),
    ]


def _draw_additive(bench: NoiseBench) -> Table:
    table = _table(
        ("sum of effects", "R2", "R2 beyond noise", "error", "noise", "spread"),
        f"Ridge regression, each of {len(bench.random)} random allocations left out in turn. "
        f"Widths: an effect for each bit-width of the {bench.decisions} decisions, {bench.widths} "
        "in all. Noise power: an effect for each decision times 4^-bits. Few allocations for many "
        "effects make R2 low on any task, and more --pairs raise it. Noise: what the spread over "
        "seeds leaves in the mean of two retrainings",
    )
    spreads, random, metric = bench.seed_spreads, bench.random, bench.metric
    for name, models, spread, figures, scale, digits in (
        (
            metric.name,
            bench.additive_score,
            spreads.score,
            scores(random),
            metric.factor,
            _digits(metric),
        ),
        ("log of loss", bench.additive_log_loss, spreads.log_loss, log_losses(random), 1, 4),
    ):
        for effects, model in (("widths", models.widths), ("noise power", models.noise_power)):
            deviations = (model.error, spread.variance_of_mean**0.5, _deviation(figures))
            cells = [f"{scale * each:.{digits}f}" for each in deviations]
            table.add_row(f"{name}, {effects}", *_shares(model), *cells)
    return table


def _shares(model: AdditiveModel) -> list[str]:
    return ["-" if share is None else f"{share:.2f}" for share in (model.r2, model.r2_beyond_noise)]


def _table(columns: tuple[str, ...], caption: str) -> Table:
    table = Table(box=box.SIMPLE, caption=caption, caption_justify="left")
    first, *others = columns
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table
