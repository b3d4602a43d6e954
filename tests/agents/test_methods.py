"""Every method ends inside the budget, with a real network that really trains."""

from collections.abc import Callable
from typing import Any

import pytest

from agents.amed.config import AMEDConfig
from agents.haq.config import HAQConfig
from agents.methods import METHODS
from agents.nsga2.config import NSGA2Config
from agents.ppo.config import PPOConfig
from agents.qbitopt.config import QBitOptConfig
from agents.search import SearchProblem
from env.decisions.budget import MEASURED_TOLERANCE
from quant.finetune import FinetuneConfig

FEW = FinetuneConfig(steps=2)
SECTIONS: dict[str, Any] = {
    "ppo": PPOConfig(warm_up_episodes=8, practice_episodes=2, rollout_episodes=4, environments=2),
    "amed": AMEDConfig(samples=3, finetune=FEW, validation_images=64),
    "qbitopt": QBitOptConfig(rounds=2, frozen_rounds=1, finetune=FEW, sensitivity_images=32),
    "haq": HAQConfig(warm_up_episodes=2, hidden=(16,), batch_size=8),
    "nsga2": NSGA2Config(population=4),
}
BUDGETS = [{"share": 0.35}, {"share": 0.5, "bytes_share": 0.4}]


@pytest.mark.parametrize("budget", BUDGETS, ids=["latency", "latency and bytes"])
@pytest.mark.parametrize("method", METHODS)
def test_the_answer_is_a_valid_allocation_inside_the_budget(
    problems: Callable[..., SearchProblem], method: str, budget: dict[str, float]
) -> None:
    check(problems(limit=6, **budget, **SECTIONS), method)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_on_fashion_mnist(fashion_problems: Callable[..., SearchProblem], method: str) -> None:
    check(fashion_problems(limit=8, share=0.35, bytes_share=0.6, **SECTIONS), method)


def check(problem: SearchProblem, method: str) -> None:
    """Search, and look at every answer."""
    answers = METHODS[method](problem, seed=0).candidates
    assert answers
    assert problem.evaluator.remaining >= 0
    measured = {e.allocation: e for e in problem.evaluator.evaluations}
    for answer in answers:
        answer.check(problem.layers, problem.bit_choices)
        evaluation = measured.get(answer)
        assert problem.budget.allows(
            latency_ms=problem.table.predict_ms(answer)
            if evaluation is None
            else evaluation.latency_ms,
            model_bytes=problem.bytes_of(answer),
            tolerance=MEASURED_TOLERANCE,
        )
