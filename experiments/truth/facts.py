"""Facts of a table: how noisy and additive it is, what can be won there, what looks are worth."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from experiments.truth.row import ALL_8
from experiments.truth.table import JUDGE, SHOWN, Floats, TruthTable
from experiments.truth.world import TruthWorld

_LEAST_RESPONSE = 1e-4
"""Loss below which a response is no response, and its logarithm nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LookFacts:
    """What the looks of one retraining say of what each decision costs."""

    bias: float
    """Standard deviation, over decisions and widths, of the logarithm of what looks say in the mean
    beside what the additive model of the truth says. A common factor is left out: a prior learns
    it."""
    factor: float
    """That common factor, a logarithm: looks are at images of the training."""
    noise: float
    """Standard deviation of one look's change of the loss around its decision's and width's mean:
    seeds, images and what was decided before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFacts:
    """What a reader should know before any method."""

    allocations: int
    rows: int
    noise: float
    """Standard deviation between retrainings of one allocation, points of accuracy."""
    equal: float
    """Share of the allocations whose rows are equal to the bit: starts that were kept, which have
    no seed in them."""
    shared: float
    """Correlation of what one seed adds to two allocations that differ in the last decision alone;
    NaN where rows do not tell. It is why a run is judged by seeds that it saw of nothing."""
    noise_log_loss: float
    """The same of the logarithm of the loss."""
    spread: float
    """Standard deviation of the allocations' accuracies, points."""
    additive: float
    """Share of the variance of accuracies that a sum over decisions explains, leave one out."""
    additive_log_loss: float
    """The same of the logarithm of the loss."""
    table_error: float
    """Largest difference of measured whole programs from the layer table's sums, as a share, after
    one common factor; nine of ten are within it."""
    looks: LookFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class Prize:
    """What can be won at one budget."""

    inside: int
    """Allocations inside it."""
    best: float
    """Accuracy of the best, percent."""
    uniform: float
    """Accuracy of the best uniform allocation inside, of one width of weights and one of
    activations; NaN where there is none."""
    left_out: float
    """How far the best is above it on images that did not choose either, points: each half of the
    images chooses, and the other one judges. The best of many is else lucky with its images."""
    standard_errors: float
    """That difference in paired standard errors of one retraining each: below two nothing can be
    told apart."""
    refined: bool
    """Whether the best have many rows; if not, the best is the luckiest of means of few."""


def facts_of(table: TruthTable) -> TableFacts:
    """Return a table's facts."""
    count = len(table.subspace)
    rows = [table.rows_of[number] for number in range(count)]
    log_loss = np.log(table.loss)
    scores = np.array([table.score[found].mean() for found in rows])
    losses = np.array([log_loss[found].mean() for found in rows])
    design = _design(table)
    return TableFacts(
        allocations=count,
        rows=len(table.number),
        noise=100 * _within(table.score, rows),
        equal=float(np.mean([len(np.unique(log_loss[found])) == 1 for found in rows])),
        shared=_shared(table),
        noise_log_loss=_within(log_loss, rows),
        spread=100 * float(scores.std()),
        additive=_left_out(design, scores),
        additive_log_loss=_left_out(design, losses),
        table_error=_table_error(table),
        looks=_look_facts(table, design),
    )


def prize_of(world: TruthWorld, share: float, noise: float) -> Prize:
    """Return what can be won at a budget.

    Args:
        world: The table.
        share: Of the way from the fastest allocation to all-8.
        noise: Of a retraining, points, as `TableFacts` has it.
    """
    table, inside = world.table, set(world.table.inside(share).tolist())
    space, subspace = table.subspace.space, table.subspace
    uniform = {subspace.number(space.bits_of(a)) for a in space.uniform_pairs().values()} & inside
    best, accuracy = world.best(share), world.worth["accuracy"]
    rival_score, left_out, standard_errors = math.nan, math.nan, math.nan
    if uniform:
        rival = max(sorted(uniform), key=lambda number: accuracy[number])
        one, two = (table.hits(int(table.rows_of[n][0])).astype(np.float64) for n in (best, rival))
        images = float((one - two).std() / math.sqrt(len(one)))
        rival_score = float(accuracy[rival])
        left_out = left_out_lead(table, world.candidates(share), np.array(sorted(uniform)))
        error = math.hypot(100 * images, math.sqrt(2) * noise)
        standard_errors = left_out / error if error else 0.0
    return Prize(
        inside=len(inside),
        best=float(accuracy[best]),
        uniform=rival_score,
        left_out=left_out,
        standard_errors=standard_errors,
        refined=world.refined(share),
    )


def left_out_lead(
    table: TruthTable, candidates: npt.NDArray[np.int64], uniform: npt.NDArray[np.int64]
) -> float:
    """Return how far the best is above the best uniform one on images that chose neither."""
    lead = 0.0
    scores = {
        name: np.array([_halves(table, int(number)) for number in numbers])
        for name, numbers in (("all", candidates), ("uniform", uniform))
    }
    for chooses, judges in ((0, 1), (1, 0)):
        best, rival = (each[each[:, chooses].argmax(), judges] for each in scores.values())
        lead += 0.5 * 100 * float(best - rival)
    return lead


def _halves(table: TruthTable, number: int) -> tuple[float, float]:
    """Return an allocation's accuracy on every second image, and on the others."""
    hits = np.mean([table.hits(int(row)) for row in table.rows_of[number]], axis=0)
    return float(hits[SHOWN].mean()), float(hits[JUDGE].mean())


def _shared(table: TruthTable) -> float:
    """Compare what two seeds do to neighbours: one less the other, of both."""
    seeds, log_loss = table.seeds_of_all[:2], np.log(table.loss)
    if len(seeds) < 2:
        return math.nan
    first, second = (
        np.array([log_loss[rows][table.seed[rows] == one][0] for rows in table.in_order])
        for one in seeds
    )
    changes = (first - second).reshape(-1, len(table.subspace.menus[-1]))
    changes = changes - changes.mean()
    squares = float((changes**2).mean())
    if not squares or changes.shape[1] < 2:
        return math.nan
    count = changes.shape[1]
    together = float((changes.sum(1) ** 2).mean())
    shared: float = (together / squares - count) / (count * (count - 1))
    return shared


def _design(table: TruthTable) -> Floats:
    """Return one column for all, and one for each width but the largest of each decision."""
    subspace = table.subspace
    bits = np.array([subspace.bits(number) for number in range(len(subspace))])
    columns = [np.ones(len(bits))]
    for place, menu in enumerate(subspace.menus):
        columns += [(bits[:, place] == width).astype(np.float64) for width in menu[:-1]]
    return np.stack(columns, axis=1)


def _within(values: Floats, rows: list[npt.NDArray[np.int64]]) -> float:
    """Return the pooled standard deviation between the rows of one allocation."""
    squares = sum(float(((values[found] - values[found].mean()) ** 2).sum()) for found in rows)
    return math.sqrt(squares / max(1, sum(len(found) - 1 for found in rows)))


def _left_out(design: Floats, values: Floats) -> float:
    """Return the share of the variance that is explained of values that were left out."""
    inverse = np.linalg.pinv(design)
    hat = np.einsum("ij,ji->i", design, inverse)
    fitted = design @ (inverse @ values)
    errors = (values - fitted) / np.maximum(1 - hat, 1e-9)
    return 1 - float((errors**2).sum() / ((values - values.mean()) ** 2).sum())


def _table_error(table: TruthTable) -> float:
    measured = table.header.times[0].measured_ms
    if not measured:
        return math.nan
    ratios = np.array([ms / table.predicted_ms[int(number)] for number, ms in measured.items()])
    return float(np.quantile(np.abs(ratios / np.median(ratios) - 1), 0.9))


def _look_facts(table: TruthTable, design: Floats) -> LookFacts:
    """Compare what looks say of each decision and width with the additive model of the loss."""
    subspace = table.subspace
    rows = np.flatnonzero(table.number != ALL_8)
    reference = {int(table.seed[r]): table.looks[r] for r in table.rows_of[ALL_8]}
    beside = np.array([table.looks[r] - reference[int(table.seed[r])] for r in rows])
    changes = np.diff(beside, axis=1, prepend=0.0)
    bits = np.array([subspace.bits(int(number)) for number in table.number[rows]])
    means = np.array([table.loss[table.rows_of[n]].mean() for n in range(len(subspace))])
    weights = np.linalg.pinv(design) @ means
    logs, residuals, column = [], [], 1
    for place, menu in enumerate(subspace.menus):
        widest = changes[bits[:, place] == menu[-1], place]
        residuals.append(widest - widest.mean())
        for width in menu[:-1]:
            seen = changes[bits[:, place] == width, place]
            residuals.append(seen - seen.mean())
            said, true = float(seen.mean() - widest.mean()), float(weights[column])
            column += 1
            if said > _LEAST_RESPONSE and true > _LEAST_RESPONSE:
                logs.append(math.log(said / true))
    return LookFacts(
        bias=float(np.std(logs)) if logs else math.nan,
        factor=float(np.mean(logs)) if logs else math.nan,
        noise=float(np.concatenate(residuals).std()),
    )
