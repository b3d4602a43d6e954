"""Plan of a comparison: one job for each method, seed and budget."""

from collections.abc import Sequence
from dataclasses import dataclass

from agents.methods import METHODS
from experiments.errors import ConfigError
from experiments.settings.keys import hint_at
from quant.records.ranges import Count, check_ranges

DEFAULT_BUDGETS = (0.10, 0.35, 0.70)
"""Budgets, as shares of the way from the fastest uniform allocation's time to all-8's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One search, and the retraining and measuring of its answer."""

    method: str
    seed: int
    budget: float
    """Share of the way from the fastest uniform allocation's time to all-8's."""

    @property
    def name(self) -> str:
        """Name of the job's folder."""
        return f"{self.method}__s{self.seed}__b{100 * self.budget:g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is compared."""

    methods: tuple[str, ...]
    budgets: tuple[float, ...]
    seeds: Count
    evaluations: Count
    """Evaluation limit of each job."""

    def __post_init__(self) -> None:
        """Refuse methods that do not exist and budgets that are no shares."""
        for method in self.methods:
            if method not in METHODS:
                raise ConfigError(
                    f"--methods: expected some of {', '.join(METHODS)}, found {method!r}",
                    hint_at(method, METHODS),
                )
        for budget in self.budgets:
            if not 0 <= budget <= 1:
                raise ConfigError(
                    f"--budgets: expected shares between 0 and 1, found {budget:g}",
                    "0.35 is 35 % of the way from the fastest uniform allocation to all-8",
                )
        for name, values in (("methods", self.methods), ("budgets", self.budgets)):
            if not values or len(set(values)) != len(values):
                raise ConfigError(f"--{name}: expected different ones, found {_join_words(values)}")
        check_ranges(self, "--", ConfigError)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Every job; a seed is finished for all methods before the next one begins."""
        return tuple(
            Job(method=method, seed=seed, budget=budget)
            for seed in range(self.seeds)
            for budget in self.budgets
            for method in self.methods
        )


def _join_words(values: Sequence[object]) -> str:
    return " ".join(map(str, values)) or "none"
