"""Other budgets: one long search that answers for all of them, beside short ones for each."""

from dataclasses import dataclass

import numpy as np

from agents.answer_budget import answer_budget
from agents.judging.beliefs import beliefs_of
from agents.methods import METHODS
from agents.ppo.ppo import policy_of
from env.decisions.budget import Budget
from experiments.errors import ConfigError
from experiments.truth.contest import Match, play
from experiments.truth.entrant import entrant_of
from experiments.truth.evaluator import TruthEvaluator
from experiments.truth.table import Floats
from experiments.truth.world import Measure, TruthWorld
from quant.allocation import Allocation

_DRAWS = 2000
_SEED = 0
_LEAST = 1e-12
"""Regrets that are smaller in all are none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is asked of one table."""

    method: str
    """As `entrant_of` reads it; it must answer by the posterior."""
    searched: float
    """Share of the way from the fastest allocation to all-8 that the long search has for budget."""
    shares: tuple[float, ...]
    """Budgets that are asked for afterwards."""
    long: int
    """Evaluations of the one search."""
    short: int
    """Evaluations of the search that each budget gets in its place."""
    measure: Measure


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherBudgets:
    """Regrets of both ways, summed over the budgets, a seed each."""

    table: str
    asked: Asked
    one: tuple[float, ...]
    many: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """How many times the regret of many short searches the one long search has."""
        return _ratio(np.array(self.one), np.array(self.many))

    @property
    def interval(self) -> tuple[float, float]:
        """The ratio's 95 % bootstrap interval over seeds."""
        rng = np.random.default_rng(_SEED)
        one, many = np.array(self.one), np.array(self.many)
        draws = rng.integers(len(one), size=(_DRAWS, len(one)))
        low, high = np.quantile(
            [_ratio(one[drawn], many[drawn]) for drawn in draws], (0.025, 0.975)
        )
        return float(low), float(high)


def play_other_budgets(world: TruthWorld, asked: Asked, seed: int) -> tuple[float, float]:
    """Return the summed regrets of one long search's answers, and of a short search for each.

    Raises:
        ConfigError: the method answers by no posterior, so that it knows nothing of other budgets.
    """
    short = [
        Match(
            table=world.name,
            budget=share,
            method=asked.method,
            evaluations=asked.short,
            seed=seed,
        )
        for share in asked.shares
    ]
    many = sum(play(match, world).regret[asked.measure] for match in short)
    return _long(world, asked, seed), many


def _long(world: TruthWorld, asked: Asked, seed: int) -> float:
    evaluator = TruthEvaluator(world.table, seed=seed, limit=asked.long)
    problem = world.problem(asked.searched, evaluator)
    entrant = entrant_of(asked.method)
    settings = entrant.settings(world.setup.config)
    result = METHODS[entrant.method].search(problem, settings, seed=seed)
    if result.posterior is None:
        raise ConfigError(
            f"expected a method that answers by the posterior, found {asked.method}",
            f"{asked.method}+posterior does, where the method takes that switch",
        )
    beliefs = beliefs_of(problem, result.posterior, policy_of(problem, settings))
    return sum(
        _regret(world, evaluator, share, asked.measure, answer_budget(beliefs, limit).allocation)
        for share, limit in (
            (share, Budget(latency_ms=world.table.limit_ms(share))) for share in asked.shares
        )
    )


def _regret(
    world: TruthWorld,
    evaluator: TruthEvaluator,
    share: float,
    measure: Measure,
    answer: Allocation,
) -> float:
    subspace = world.table.subspace
    number = subspace.number(subspace.space.bits_of(answer))
    return world.regret(share, number, evaluator)[measure]


def _ratio(one: Floats, many: Floats) -> float:
    return float(one.sum() / max(many.sum(), _LEAST))
