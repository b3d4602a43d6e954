"""Claim: what a contest is and what is expected of it, written down before it is played."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from experiments.errors import ConfigError
from experiments.settings.strict_yaml import read_yaml
from experiments.truth.entrant import entrant_of
from experiments.truth.world import Measure
from quant.records.json_form import EXACT, from_plain
from quant.records.ranges import Count, check_ranges
from quant.records.regular_file import read_regular


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One expectation: the paired 95 % interval of `better` less `than` ends below `margin`."""

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

    def __post_init__(self) -> None:
        """Refuse what cannot be played.

        Raises:
            ConfigError: methods, budgets, limits or seeds are none, or tables share a name.
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
        for bar in self.bars:
            if unknown := {bar.better, bar.than} - set(self.methods):
                raise ConfigError(f"bars: expected methods that play, found {min(unknown)}")
        if min(self.evaluations) < 0:
            raise ConfigError("evaluations: expected limits of 0 or more, found less")
        if any(not 0 <= budget <= 1 for budget in self.budgets):
            raise ConfigError("budgets: expected shares between 0 and 1, found others")
        if len(set(self.names)) != len(self.names):
            raise ConfigError(
                f"tables: expected files of different names, found {', '.join(self.names)}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tables."""
        return tuple(table.stem for table in self.tables)

    def seeds_of(self, method: str) -> int:
        """Return how many seeds, from 0 on, a method plays."""
        return self.fewer_seeds.get(method, self.seeds)


def read_claim(path: Path) -> Claim:
    """Read a claim's file; its tables lie where the file says, seen from its folder.

    Raises:
        ConfigError: it cannot be read, or says something else.
    """
    try:
        document: dict[str, Any] = read_yaml(read_regular(path))
        tables = [str(path.parent / table) for table in document["tables"]]
        return from_plain(Claim, {"fewer_seeds": {}, **document, "tables": tables})
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(f"expected a claim in {path}, found something else: {error}") from None
