"""Claim: what a contest is and what is expected of it, written down before it is played."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from experiments.errors import ConfigError
from experiments.settings.strict_yaml import read_yaml
from experiments.truth.entrant import entrant_of
from experiments.truth.world import Measure
from quant.records.json_form import EXACT, from_plain
from quant.records.ranges import Count, Natural, check_ranges
from quant.records.regular_file import read_regular

CLAIMED_FROM = 1000
"""First seed of claims that are read from a file: nobody tuned on it with `--truth`, whose seeds
begin at 0."""

_LEAST_SEEDS = 2
"""Of one seed no interval over seeds can be drawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One expectation: the paired 95 % interval of `better` less `than` ends below `margin`.

    Or, with a `ratio`: that of `better` over `than` ends at most there.
    """

    __pydantic_config__ = EXACT

    better: str
    than: str
    at: tuple[int, ...]
    """Evaluation limits."""
    than_at: int | None = None
    """Evaluation limit of `than`; None for the same one."""
    margin: float = 0.0
    """In the unit of the measure."""
    measure: Measure = "accuracy"
    tables: tuple[str, ...] = ()
    """Names of tables; none for all."""
    least: int = 0
    """Cells of table, budget and limit in which it must hold; 0 for all."""
    summed: bool = False
    """Whether each seed's regrets are summed over the budgets before they are compared: a cell is
    then of table and limit, and `margin` of the sum."""
    ratio: float | None = None
    """So many times the regret of `than` is the most that `better` may have; None for less than it
    plus `margin`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """Who plays on what, how often, and what is expected."""

    __pydantic_config__ = EXACT

    tables: tuple[Path, ...]
    """Files, as seen from the claim's folder."""
    methods: tuple[str, ...]
    """As `entrant_of` reads them: `mckp`, `mckp+posterior+race`, `bayes-race`."""
    budgets: tuple[float, ...]
    """Shares of the way from the fastest allocation's time to all-8's."""
    evaluations: tuple[int, ...]
    """Limits, each played by itself: what a method does last depends on its limit. 0: before
    any."""
    seeds: Count
    fewer_seeds: dict[str, int]
    """Seeds of methods that really train or practise in every search."""
    bars: tuple[Bar, ...] = ()
    first_seed: Natural = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be played, or would hold whatever is played.

        Raises:
            ConfigError: methods, budgets, limits or seeds are none, tables share a name, or a bar
                is about something that is not played.
        """
        check_ranges(self, "", ConfigError)
        lists = {
            "tables": self.tables,
            "methods": self.methods,
            "budgets": self.budgets,
            "evaluations": self.evaluations,
        }
        for key, values in lists.items():
            if not values or len(set(values)) != len(values):
                found = " ".join(map(str, values)) or "none"
                raise ConfigError(f"{key}: expected different ones, found {found}")
        for name in self.methods:
            entrant_of(name)
        for name, seeds in self.fewer_seeds.items():
            if name not in self.methods or not 1 <= seeds <= self.seeds:
                raise ConfigError(
                    f"fewer_seeds: expected methods that play and 1 to {self.seeds}, found "
                    f"{name}: {seeds}"
                )
        for bar in self.bars:
            self._check_bar(bar)
        if min(self.evaluations) < 0:
            raise ConfigError("evaluations: expected limits of 0 or more, found less")
        # At 0 there is nothing to choose; at 1 all-8 fits, whose row every search is shown.
        if any(not 0 < budget < 1 for budget in self.budgets):
            raise ConfigError("budgets: expected shares between 0 and 1, found others")
        if len(set(self.names)) != len(self.names):
            raise ConfigError(
                f"tables: expected files of different names, found {', '.join(self.names)}"
            )

    def _check_bar(self, bar: Bar) -> None:
        limits = {*bar.at, *([] if bar.than_at is None else [bar.than_at])}
        for what, found, played in (
            ("methods", {bar.better, bar.than}, self.methods),
            ("limits", limits, self.evaluations),
            ("tables", set(bar.tables), self.names),
        ):
            if unknown := found.difference(played):
                raise ConfigError(f"bars: expected {what} that play, found {min(unknown)}")
        budgets = 1 if bar.summed else len(self.budgets)
        cells = len(bar.at) * budgets * len(bar.tables or self.names)
        if len(set(bar.at)) != len(bar.at) or not bar.at:
            raise ConfigError("bars: expected different limits in at, found none or some twice")
        if len(set(bar.tables)) != len(bar.tables) or not 0 <= bar.least <= cells:
            raise ConfigError(
                f"bars: expected different tables and least of 0 to {cells} cells, found others"
            )
        if bar.ratio is not None and (not 0 < bar.ratio < math.inf or bar.margin):
            raise ConfigError(
                f"bars: expected a ratio above 0 and no margin with it, found {bar.ratio:g} and "
                f"{bar.margin:g}"
            )
        if min(map(self.seeds_of, (bar.better, bar.than))) < _LEAST_SEEDS:
            raise ConfigError(
                f"bars: expected at least {_LEAST_SEEDS} seeds of each method that is judged"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tables."""
        return tuple(table.stem for table in self.tables)

    def seeds_of(self, method: str) -> int:
        """Return how many seeds, from the first on, a method plays."""
        return self.fewer_seeds.get(method, self.seeds)

    def seeds_of_all(self, *methods: str) -> range:
        """Return the seeds that all of some methods play."""
        return range(self.first_seed, self.first_seed + min(map(self.seeds_of, methods)))


def read_claim(path: Path) -> Claim:
    """Read a claim's file; its tables lie where the file says, seen from its folder.

    Raises:
        ConfigError: it cannot be read, or says something else.
    """
    try:
        document: dict[str, Any] = read_yaml(read_regular(path))
        tables = [str(path.parent / table) for table in document["tables"]]
        usual = {"fewer_seeds": {}, "first_seed": CLAIMED_FROM}
        return from_plain(Claim, {**usual, **document, "tables": tables})
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(f"expected a claim in {path}, found something else: {error}") from None
