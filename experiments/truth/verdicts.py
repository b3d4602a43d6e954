"""Verdicts: whether what was claimed before a contest holds, cell by cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from experiments.truth.claim import Bar, Claim
from experiments.truth.contest import Match, Outcome
from experiments.truth.statistics import Interval, Regrets, paired_interval
from experiments.truth.world import Measure


@dataclass(frozen=True, kw_only=True, slots=True)
class BarCell:
    """One bar on one table, budget and evaluation limit."""

    table: str
    budget: float
    evaluations: int
    difference: Interval
    """Regret of `better` less that of `than`, over the seeds that both played."""
    seeds: int
    held: bool
    """Of the interquartile means; `difference.mean` says what the seeds outside them do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What became of one bar."""

    bar: Bar
    cells: tuple[BarCell, ...]
    held: bool

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        count = sum(cell.held for cell in self.cells)
        means = sum(cell.difference.mean < self.bar.margin for cell in self.cells)
        bar, limits = self.bar, " ".join(map(str, self.bar.at))
        than = bar.than if bar.than_at is None else f"{bar.than} at {bar.than_at}"
        return (
            f"{'held' if self.held else 'missed'}: {bar.better} at {limits} less than {than} plus "
            f"{bar.margin:g} ({bar.measure}) in {count} of {len(self.cells)} cells; "
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
    cells = []
    seeds = claim.seeds_of_all(bar.better, bar.than)
    for table, budget, count in product(bar.tables or claim.names, claim.budgets, bar.at):
        one, two = (
            regrets_of(
                [
                    outcomes[
                        Match(table=table, budget=budget, method=name, evaluations=limit, seed=seed)
                    ]
                    for seed in seeds
                ],
                bar.measure,
            )
            for name, limit in (
                (bar.better, count),
                (bar.than, count if bar.than_at is None else bar.than_at),
            )
        )
        difference = paired_interval(one, two)
        cells.append(
            BarCell(
                table=table,
                budget=budget,
                evaluations=count,
                difference=difference,
                seeds=len(one),
                held=difference.high < bar.margin,
            )
        )
    held = sum(cell.held for cell in cells)
    return Verdict(bar=bar, cells=tuple(cells), held=held >= (bar.least or len(cells)))
