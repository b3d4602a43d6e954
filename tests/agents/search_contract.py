"""What every search promises: a class that the tests of each kind of problem inherit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.amed.config import AMEDConfig
from agents.bayes.config import BayesConfig
from agents.clado.config import CLADOConfig
from agents.evolution.config import EvolutionConfig
from agents.gp.config import GPConfig
from agents.haq.config import HAQConfig
from agents.methods import METHODS
from agents.nsga2.config import NSGA2Config
from agents.ppo.config import PPOConfig
from agents.qbitopt.config import QBitOptConfig
from agents.search import SearchProblem, SearchResult
from agents.uniform import uniform_inside
from env.decisions.budget import MEASURED_TOLERANCE
from env.evaluating.evaluation import Evaluation
from env.evaluating.reward import reward
from quant.allocation import Allocation
from quant.retraining.finetune_config import FinetuneConfig

MakeProblem = Callable[..., SearchProblem]
FEW = FinetuneConfig(steps=2, compensation_images=16, held_back_images=32)
QUICK: dict[str, Any] = {
    "ppo": PPOConfig(policy_samples=4, posterior=False, race=0),
    "amed": AMEDConfig(samples=3, finetune=FEW, validation_images=64),
    "qbitopt": QBitOptConfig(rounds=2, frozen_rounds=1, finetune=FEW, sensitivity_images=32),
    "haq": HAQConfig(warm_up_episodes=2, hidden=(16,), batch_size=8),
    "nsga2": NSGA2Config(population=4),
    "evolution": EvolutionConfig(survivors=0),  # repeats have their own tests
    "clado": CLADOConfig(images=16),
    "gp": GPConfig(random=1),
    "bayes": BayesConfig(posterior=False, race=0),  # the scores answer; the rest has its own tests
}
"""Settings with which a search takes a second; other methods have their defaults."""


def search_by(
    method: str, problem: SearchProblem, *, seed: int = 0, config: Any = None
) -> SearchResult:
    """Search by a method of METHODS, with quick settings where none are given."""
    found = METHODS[method]
    settings = config or QUICK.get(method, found.defaults())
    return found.search(problem, settings, seed=seed)


def proposed_by(method: str, problem: SearchProblem) -> list[Evaluation]:
    """Return what a method asked for itself."""
    return [e for e in problem.evaluator.evaluations if e.proposer == method]


def inside(problem: SearchProblem, allocation: Allocation, found: Evaluation | None) -> bool:
    """Whether an allocation is inside as measured, or by the table where it was not."""
    return problem.budget.allows(
        latency_ms=problem.table.predict_ms(allocation) if found is None else found.latency_ms,
        model_bytes=problem.bytes_of(allocation),
        tolerance=MEASURED_TOLERANCE,
    )


def allocations_of(problem: SearchProblem) -> list[Allocation]:
    return [evaluation.allocation for evaluation in problem.evaluator.evaluations]


class SearchContract:
    """Inherited beside the fixtures `method`, `make` and `budget`.

    `make(limit=..., **budget)` returns a fresh problem whose reference is evaluated; without a
    budget, one that some uniform allocations meet and all-8 does not.
    """

    def test_it_keeps_the_budget_and_the_limit(
        self, make: MakeProblem, method: str, budget: dict[str, float]
    ) -> None:
        problem = make(limit=6, **budget)
        answers = search_by(method, problem).candidates
        evaluations = problem.evaluator.evaluations
        measured = {e.allocation: e for e in evaluations}
        assert len(measured) == len(evaluations) <= 6, "nothing is evaluated twice"
        assert problem.evaluator.remaining >= 0
        assert answers
        for answer in answers:
            assert problem.space.admits(answer)
            assert inside(problem, answer, measured.get(answer))

    def test_the_uniform_ones_are_evaluated_first_and_the_best_is_answered_first(
        self, make: MakeProblem, method: str
    ) -> None:
        problem = make(limit=6)
        answers = search_by(method, problem).candidates
        evaluations, uniform = problem.evaluator.evaluations, uniform_inside(problem)
        assert uniform
        if method != "uniform":
            del uniform[3:]  # half of five
        assert [e.allocation for e in evaluations[1 : 1 + len(uniform)]] == uniform
        own = 0 if method == "uniform" else 5 - len(uniform)
        expected = ["reference"] + ["uniform"] * len(uniform) + [method] * own
        assert [e.proposer for e in evaluations] == expected
        rewards = {
            e.allocation: reward(e, problem.reference, problem.reward)[0] for e in evaluations
        }
        assert [rewards[a] for a in answers] == sorted((rewards[a] for a in answers), reverse=True)
        measured = {e.allocation: e for e in evaluations}
        reached = [rewards[a] for a in uniform if inside(problem, a, measured[a])]
        assert rewards[answers[0]] >= max(reached)

    def test_one_evaluation_is_the_widest_uniform(self, make: MakeProblem, method: str) -> None:
        problem = make(limit=2)
        search_by(method, problem)
        assert allocations_of(problem)[1:] == uniform_inside(problem)[:1]

    def test_equal_seeds_search_equally(self, make: MakeProblem, method: str) -> None:
        runs = [make(limit=5) for _ in range(2)]
        results = [search_by(method, problem, seed=3) for problem in runs]
        assert allocations_of(runs[0]) == allocations_of(runs[1])
        assert results[0] == results[1]


class ResumeContract(SearchContract):
    """The same where `make` also takes the `past` of a run that was stopped, and its state."""

    def test_a_resumed_search_pays_for_nothing_twice(
        self, make: MakeProblem, method: str, tmp_path: Path
    ) -> None:
        whole = make(limit=6, state_folder=tmp_path)
        search_by(method, whole)
        past = whole.evaluator.evaluations[:5]
        again = make(limit=7, state_folder=tmp_path, past=past)
        fresh: list[Evaluation] = []
        again.evaluator.on_evaluation.append(fresh.append)
        assert search_by(method, again).candidates
        found = again.evaluator.evaluations
        assert found[: len(past)] == past
        assert found[len(past) :] == fresh
        allocations = allocations_of(again)
        assert len(set(allocations)) == len(allocations)
        assert again.evaluator.remaining == 0 or method == "uniform"
