"""Searches under an energy budget, with programs that take more than the layer table says."""

from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.ppo.config import PPOConfig
from agents.ppo.token_weights import IN_RUN
from agents.search import SearchProblem
from env.decisions.budget import Budget
from env.testing import (
    FormulaEvaluator,
    formula_table,
)
from quant.allocation import Allocation
from tests.agents.formula_problem import LAYERS, SENSITIVITIES, SPACE, formula_problem
from tests.agents.search_contract import proposed_by, search_by

TABLE = formula_table(LAYERS, energies=True)
QUICK = PPOConfig(
    policy=IN_RUN,
    posterior=False,
    race=0,
    warm_up_episodes=16,
    practice_episodes=4,
    final_evaluations=1,
    rollout_episodes=16,
)


def make_problem(log_folder: Path) -> SearchProblem:
    """A formula whose programs take a tenth more energy than their parts, and no more time."""
    truth = TABLE.with_scaled_energies(1.1)
    evaluator = FormulaEvaluator(SPACE, truth, SENSITIVITIES, scale=0.02, practice=False, limit=7)
    reference = evaluator.evaluate([Allocation.uniform(LAYERS, 8)])[0]
    most, least = (truth.predict_mj(Allocation.uniform(LAYERS, bits)) for bits in (8, 2))
    assert most is not None
    assert least is not None
    budget = Budget(energy_mj=least + (most - least) / 3)
    return formula_problem(TABLE, evaluator, reference, budget, log_folder)


@pytest.mark.parametrize("method", ["ppo", "random"])
def test_measured_energies_keep_the_search_inside(method: str, tmp_path: Path) -> None:
    problem = make_problem(tmp_path)
    result = search_by(method, problem, seed=1, config=QUICK if method == "ppo" else None)
    proposed = proposed_by(method, problem)
    assert proposed
    limit = problem.budget.energy_mj
    assert limit is not None
    for evaluation in proposed:
        assert evaluation.energy_mj is not None
        assert evaluation.energy_mj <= limit * (1 + 1e-9)
    energies = {e.allocation: e.energy_mj for e in problem.evaluator.evaluations}
    assert all((energies[a] or 0.0) <= 1.02 * limit for a in result.candidates)
    if method == "ppo":
        (folder,) = {path.parent for path in tmp_path.rglob("events.out*")}
        tags = set(EventAccumulator(str(folder)).Reload().Tags()["scalars"])
        assert {"real/energy_modelled_mj", "practice/reward_energy_modelled"} <= tags
        assert not [tag for tag in tags if "energy" in tag and "modelled" not in tag]


def test_uniform_allocations_are_judged_by_the_tables_energies(tmp_path: Path) -> None:
    problem = make_problem(tmp_path)
    problem = replace(problem, budget=Budget(energy_mj=1e-9))
    assert search_by("uniform", problem).candidates == ()
