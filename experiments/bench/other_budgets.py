"""Other-budgets bench: is one search's answer for every budget as good as a search for each?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import model_serializer
from rich import box
from rich.table import Table

from experiments.errors import BenchError
from experiments.settings.configured import ConfiguredOptions
from experiments.terminal.progress import LiveProgress
from experiments.truth.claim import CLAIMED_FROM
from experiments.truth.entrant import entrant_of
from experiments.truth.other_budgets import Asked, OtherBudgets, play_other_budgets
from experiments.truth.world import Measure, open_world
from hardware.store import Store
from quant.records.json_form import Plain
from quant.records.ranges import Count, check_ranges

_TEN = (0.03, 0.06, 0.09, 0.12, 0.18, 0.21, 0.24, 0.27, 0.35, 0.45)


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherBudgetsOptions(ConfiguredOptions):
    """Regret at budgets that one search was not run for, beside a short search for each of them."""

    truth: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE.npz")] = ()
    """Tables of truth."""
    player: str = "ppo"
    """A method that answers by the posterior, with switches as in `compare`: `mckp+posterior`."""
    searched: float = 0.15
    """Budget of the one search, as a share of the way from the fastest allocation to all-8."""
    shares: tuple[float, ...] = _TEN
    """Budgets that are asked for."""
    long: Count = 40
    """Evaluations of the one search."""
    short: Count = 4
    """Evaluations of the search that each budget gets."""
    seeds: Count = 20
    """Seeds, from 1000 on."""
    measure: Measure = "accuracy"
    """What regret is in."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the figures there."""

    def __post_init__(self) -> None:
        """Refuse budgets that are none, and methods that there are not.

        Raises:
            BenchError: a share is not between 0 and 1, or is the searched one.
            ConfigError: there is no such method.
        """
        check_ranges(self, "--", BenchError)
        entrant_of(self.player)
        for share in (self.searched, *self.shares):
            if not 0 < share < 1:
                raise BenchError(f"--shares: expected shares between 0 and 1, found {share:g}")
        if self.searched in self.shares or not self.shares:
            raise BenchError("--shares: expected other budgets than the searched one")

    @property
    def asked(self) -> Asked:
        """What is asked of each table."""
        return Asked(
            method=self.player,
            searched=self.searched,
            shares=self.shares,
            long=self.long,
            short=self.short,
            measure=self.measure,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherBudgetsBench:
    """What each table came to."""

    tables: tuple[OtherBudgets, ...]

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        found = [{"table": t.table, "ratio": t.ratio, "interval": t.interval} for t in self.tables]
        return {"ratios": found, **plain(self)}


def bench_other_budgets(options: OtherBudgetsOptions) -> OtherBudgetsBench:
    """Play both ways on each table.

    Raises:
        BenchError: no table is named.
        DataError: a table or the weights beside it are missing or damaged.
        ConfigError: the method answers by no posterior.
    """
    if not options.truth:
        raise BenchError("--truth: expected tables of truth, found none")
    asked, folder = options.asked, Path(options.config.output)
    folder.mkdir(parents=True, exist_ok=True)
    tables = []
    with (
        LiveProgress(quiet=options.config.quiet) as progress,
        Store(folder / "store.sqlite") as store,
    ):
        for path in options.truth:
            world = open_world(path, options.config, store, progress)
            found = []
            for number in range(options.seeds):
                progress.stage(f"{world.name}: searches", number, options.seeds)
                found.append(play_other_budgets(world, asked, CLAIMED_FROM + number))
            one, many = zip(*found, strict=True)
            tables.append(OtherBudgets(table=world.name, asked=asked, one=one, many=many))
    return OtherBudgetsBench(tables=tuple(tables))


def draw_other_budgets(bench: OtherBudgetsBench) -> Table:
    """Draw a line for each table."""
    asked = bench.tables[0].asked
    table = Table(
        box=box.SIMPLE,
        caption=f"{asked.method}, regret in {asked.measure} summed over {len(asked.shares)} "
        f"budgets, mean of {len(bench.tables[0].one)} seeds; looked up in tables of truth "
        "(simulated). Best allocations of budgets that were not refined are lucky: both ways lack "
        "as much to them.",
        caption_justify="left",
    )
    for heading in (
        "table",
        f"one search of {asked.long}",
        f"{asked.short} for each budget",
        "ratio [95 %]",
    ):
        table.add_column(heading, justify="left" if heading == "table" else "right")
    for found in bench.tables:
        low, high = found.interval
        table.add_row(
            found.table,
            f"{sum(found.one) / len(found.one):.3f}",
            f"{sum(found.many) / len(found.many):.3f}",
            f"{found.ratio:.2f} [{low:.2f}, {high:.2f}]",
        )
    return table
