"""Verdicts: whether what was claimed before a contest holds, cell by cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

from experiments.truth.claim import Bar, Claim
from experiments.truth.contest import Match, Outcome
from experiments.truth.statistics import Interval, Regrets, summed_interval
from experiments.truth.world import Measure


@dataclass(frozen=True, kw_only=True, slots=True)
class BarCell:
    """One bar on one table, budget and evaluation limit."""

    table: str
    budget: float | None
    """None: each seed's regrets are summed over all budgets of the claim."""
    evaluations: int
    difference: Interval
    """Regret of `better` less that of `than`, over the seeds that both played."""
    ratio: Interval | None = None
    """Regret of `better` over that of `than`, where the bar asks for it; infinite (null in JSON)
    where `than` has none."""
    seeds: int
    held: bool
    """Of the interquartile means; `difference.mean` says what the seeds outside them do."""

    @property
    def judged(self) -> Interval:
        """What the bar is about."""
        return self.difference if self.ratio is None else self.ratio


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What became of one bar."""

    bar: Bar
    cells: tuple[BarCell, ...]
    held: bool

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        bar, count = self.bar, sum(cell.held for cell in self.cells)
        means = sum(_keeps(bar, cell.judged.mean) for cell in self.cells)
        limits = " ".join(map(str, bar.at))
        than = bar.than if bar.than_at is None else f"{bar.than} at {bar.than_at}"
        most = f"less than {than} plus {bar.margin:g}"
        if bar.ratio is not None:
            most = f"at most {bar.ratio:g} times {than}"
        summed = ", summed over the budgets" if bar.summed else ""
        return (
            f"{'held' if self.held else 'missed'}: {bar.better} at {limits} {most} "
            f"({bar.measure}{summed}) in {count} of {len(self.cells)} cells; "
            f"the plain means are in {means}"
        )


def verdicts(claim: Claim, outcomes: Mapping[Match, Outcome]) -> list[Verdict]:
    """Return what became of each bar of a claim that was played whole."""
    return [_verdict(bar, claim, outcomes) for bar in claim.bars]


def regrets_of(outcomes: Sequence[Outcome], measure: Measure) -> Regrets:
    """Return what outcomes of one method came to, with the errors of their answers' truth."""
    return Regrets(
        values=tuple(outcome.regret[measure] for outcome in outcomes),
        answers=tuple(outcome.answer for outcome in outcomes),
        errors=tuple(outcome.error[measure] for outcome in outcomes),
    )


def _verdict(bar: Bar, claim: Claim, outcomes: Mapping[Match, Outcome]) -> Verdict:
    together = [claim.budgets] if bar.summed else [(budget,) for budget in claim.budgets]
    cells = tuple(
        _cell(bar, claim, outcomes, table=table, budgets=budgets, evaluations=count)
        for table, budgets, count in product(bar.tables or claim.names, together, bar.at)
    )
    held = sum(cell.held for cell in cells)
    return Verdict(bar=bar, cells=cells, held=held >= (bar.least or len(cells)))


def _cell(
    bar: Bar,
    claim: Claim,
    outcomes: Mapping[Match, Outcome],
    *,
    table: str,
    budgets: Sequence[float],
    evaluations: int,
) -> BarCell:
    seeds = claim.seeds_of_all(bar.better, bar.than)

    def regrets(method: str, limit: int) -> list[Regrets]:
        match = partial(Match, table=table, method=method, evaluations=limit)
        return [
            regrets_of([outcomes[match(budget=budget, seed=seed)] for seed in seeds], bar.measure)
            for budget in budgets
        ]

    one = regrets(bar.better, evaluations)
    two = regrets(bar.than, evaluations if bar.than_at is None else bar.than_at)
    difference = summed_interval(one, two)
    ratio = None if bar.ratio is None else summed_interval(one, two, ratio=True)
    return BarCell(
        table=table,
        budget=None if bar.summed else budgets[0],
        evaluations=evaluations,
        difference=difference,
        ratio=ratio,
        seeds=len(seeds),
        held=_keeps(bar, (ratio or difference).high),
    )


def _keeps(bar: Bar, value: float) -> bool:
    return value < bar.margin if bar.ratio is None else value <= bar.ratio
