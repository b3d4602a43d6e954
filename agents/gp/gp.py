"""GP: Bayesian optimisation with a Gaussian process over the levels of all decisions."""

from typing import Any

import numpy as np

from agents.costs.spending import Columns, Spending, spending_of
from agents.gp.config import GPConfig
from agents.optuna_extra import import_optuna
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.uniform import evaluate_uniform
from env.evaluating.evaluation import Evaluation
from env.evaluating.reward import reward

_PATIENCE = 200
"""Random allocations in a row that were all seen before, after which the space is used up."""


def search(problem: SearchProblem, config: GPConfig, *, seed: int) -> SearchResult:
    """Ask Optuna's Gaussian process for allocations, each brought inside the budget.

    What it asks for is moved to the nearest allocation inside that nobody evaluated, and it learns
    what that one was worth. It knows no sensitivities and no structure: what a generic optimizer
    does.
    Source: Optuna's GPSampler: a Matern kernel with a length for each dimension, expected
    improvement in logarithms (Ament et al. 2023), and an estimated noise.

    Raises:
        MissingExtraError: Optuna is not installed.
    """
    optuna = import_optuna("gp", "rivals")
    evaluate_uniform(problem)
    evaluator = problem.evaluator
    evaluator.proposer = "gp"
    rng = np.random.default_rng(seed)
    sampler = optuna.samplers.GPSampler(
        seed=seed, n_startup_trials=1, deterministic_objective=False
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    spending = spending_of(problem)
    distributions = {
        f"{step}": optuna.distributions.IntDistribution(0, int(choices) - 1)
        for step, choices in enumerate(spending.choices)
    }
    for evaluation in problem.seen().values():
        _tell(problem, study, distributions, spending.columns(evaluation.allocation), evaluation)
    asked = 0
    while evaluator.remaining > 0:
        spending = spending_of(problem)
        wanted = rng.integers(spending.choices)
        if asked >= config.random:
            trial = study.ask(distributions)
            wanted = np.array([trial.params[name] for name in distributions], dtype=np.int64)
            # What was asked for is not what is evaluated: the trial itself teaches nothing.
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        asked += 1
        columns = _fresh(problem, spending, wanted, rng)
        if columns is None:
            break
        evaluation = evaluator.evaluate([spending.allocation(columns)])[0]
        _tell(problem, study, distributions, columns, evaluation)
    evaluator.adopt_past()
    return rank_candidates(problem)


def _fresh(
    problem: SearchProblem, spending: Spending, wanted: Columns, rng: np.random.Generator
) -> Columns | None:
    """Return the nearest choices inside the budget, or random ones where those were seen."""
    seen = problem.seen()
    for _ in range(_PATIENCE):
        columns = spending.nearest(wanted)
        if spending.allocation(columns) not in seen:
            return columns
        wanted = rng.integers(spending.choices)
    return None


def _tell(
    problem: SearchProblem, study: Any, distributions: Any, columns: Columns, found: Evaluation
) -> None:
    """Add what an evaluation was worth to what the process learns from."""
    if found.error:
        return
    trial = import_optuna("gp", "rivals").trial.create_trial(
        params={name: int(column) for name, column in zip(distributions, columns, strict=True)},
        distributions=distributions,
        value=reward(found, problem.reference, problem.reward)[0],
    )
    study.add_trial(trial)
