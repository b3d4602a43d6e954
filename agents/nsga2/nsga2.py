"""NSGA-II: a genetic search for accuracy and cost at once, the budget being its constraint."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.costs.relative_cost import RelativeCost
from agents.costs.spending import Columns, Spending, spending_of
from agents.nsga2.config import NSGA2Config
from agents.optuna_extra import import_optuna
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.uniform import evaluate_uniform
from env.decisions.budget import MEASURED_TOLERANCE
from env.evaluating.evaluation import Evaluation
from quant.allocation import Allocation

_PATIENCE = 60
"""Children in a row with nothing to evaluate, after which a random allocation joins them."""
_STRANGERS = 10
"""Random allocations in a row that were all known, after which the space counts as used up."""


def search(problem: SearchProblem, config: NSGA2Config, *, seed: int) -> SearchResult:
    """Breed allocations with Optuna's NSGA-II until the evaluation limit is used up.

    The first individuals are all-8 and the uniform allocations inside. A child that the layer
    table (corrected by what was measured) has outside the budget is not retrained: constrained
    domination puts it behind every child inside, and compares it with others outside by how far
    it is out. A resumed search breeds the same children again and is handed their evaluations.
    Source: Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", with
    its constrained domination (section VI).

    Raises:
        MissingExtraError: Optuna is not installed.
    """
    optuna = import_optuna("nsga2", "nsga2")
    evaluate_uniform(problem)
    first = list(problem.seen())
    problem.evaluator.proposer = "nsga2"
    sampler = optuna.samplers.NSGAIISampler(
        population_size=config.population,
        crossover_prob=config.crossover,
        swapping_prob=config.swapping,
        mutation_prob=config.mutation,
        seed=seed,
    )
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    _breed(problem, study, first, RelativeCost(problem, config.cost), np.random.default_rng(seed))
    problem.evaluator.adopt_past()
    return rank_candidates(problem)


def _breed(
    problem: SearchProblem,
    study: Any,
    first: Sequence[Allocation],
    cost: RelativeCost,
    rng: np.random.Generator,
) -> None:
    """Ask for children and answer them, until no evaluation is left or nothing new is found."""
    evaluator = problem.evaluator
    spending = spending_of(problem)
    for allocation in first:
        _enqueue(study, spending, allocation)
    misses = strangers = 0
    while evaluator.remaining > 0 and strangers < _STRANGERS:
        if _answer(problem, study.ask(), study, spending, cost):
            misses = strangers = 0
            spending = spending_of(problem)
        else:
            misses += 1
        if misses >= _PATIENCE:
            misses, strangers = 0, strangers + 1
            columns = rng.integers(spending.choices)
            _enqueue(study, spending, spending.allocation(spending.nearest(columns)))


def _answer(
    problem: SearchProblem, trial: Any, study: Any, spending: Spending, cost: RelativeCost
) -> bool:
    """Tell the study what one child is worth; whether that took an evaluation."""
    columns = np.array(
        [
            trial.suggest_int(name, 0, int(choices) - 1)
            for name, choices in zip(_names(spending), spending.choices, strict=True)
        ],
        dtype=np.int64,
    )
    allocation = spending.allocation(columns)
    known = problem.seen().get(allocation)
    if known is None and not spending.inside(columns):
        trial.set_constraint("budget", float(np.maximum(spending.shares(columns) - 1.0, 0.0).sum()))
        # No accuracy was looked at, and none is compared with that of a child inside.
        study.tell(trial, [0.0, cost.predict(allocation)])
        return False
    evaluation = known or problem.evaluator.evaluate([allocation])[0]
    if evaluation.error:
        study.tell(trial, state=import_optuna("nsga2", "nsga2").trial.TrialState.FAIL)
    else:
        trial.set_constraint("budget", _excess(problem, evaluation))
        study.tell(trial, [evaluation.quality, cost.of_evaluation(evaluation)])
    return known is None


def _names(spending: Spending) -> list[str]:
    return [f"{decision.layer} {decision.kind}" for decision in spending.decisions]


def _enqueue(study: Any, spending: Spending, allocation: Allocation) -> None:
    columns: Columns = spending.columns(allocation)
    values = (int(column) for column in columns)
    study.enqueue_trial(dict(zip(_names(spending), values, strict=True)))


def _excess(problem: SearchProblem, evaluation: Evaluation) -> float:
    """Return by which share an evaluation misses the budget as measured, 0 for inside."""
    budget = problem.budget
    measured = (
        (budget.latency_ms, evaluation.latency_ms),
        (budget.energy_mj, evaluation.energy_mj),
    )
    return float(
        sum(
            max(0.0, found / limit - 1.0 - MEASURED_TOLERANCE)
            for limit, found in measured
            if limit is not None and found is not None
        )
    )
