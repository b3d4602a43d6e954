"""A policy trained before, on a simulated world: it keeps the budget and proposes nothing twice."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file, save_model

from agents.methods import METHODS
from agents.ppo.config import PPOConfig
from agents.ppo.token_policy import TokenPolicy
from agents.search import SearchProblem
from agents.testing import LOUD, calibrated_prior, draw_world
from env.errors import TaskError
from env.token_view import TokenView

LIMIT = 8


def problem(seed: int = 0) -> SearchProblem:
    world = draw_world(LOUD, 3)
    return world.problem(share=0.3, limit=LIMIT, seed=seed, prior=calibrated_prior(LOUD))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of an untrained policy: at a price of one it is no fool."""
    torch.manual_seed(0)
    view = TokenView(problem().make_env())
    policy = TokenPolicy(view.observation_space, view.action_space, lambda _: 0.0)
    save_model(policy, str(tmp_path / "policy.safetensors"))
    return tmp_path / "policy.safetensors"


def test_every_proposal_is_inside_the_budget_and_new(weights: Path) -> None:
    one = problem()
    result = METHODS["ppo"].search(one, PPOConfig(policy=str(weights)), seed=0)
    evaluated = [e.allocation for e in one.evaluator.evaluations[1:]]
    assert len(evaluated) == len(set(evaluated)) == LIMIT
    mine = [e for e in one.evaluator.evaluations if e.proposer == "ppo"]
    assert mine
    assert all(one.budget.admits(e) for e in mine)
    assert result.candidates[0] in evaluated


def test_equal_seeds_propose_equally_and_leave_torch_as_it_was(weights: Path) -> None:
    found = []
    for seed in (0, 0, 1):
        one = problem()
        torch.manual_seed(7)
        METHODS["ppo"].search(one, PPOConfig(policy=str(weights)), seed=seed)
        found.append(([e.allocation for e in one.evaluator.evaluations], torch.rand(1)))
    assert found[0] == found[1]
    assert found[0][0] != found[2][0]
    torch.manual_seed(7)
    assert found[0][1] == torch.rand(1)


def test_other_files_are_one_sentence(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    (tmp_path / "text").write_text("no weights")
    for file in (other, tmp_path / "text", tmp_path / "nothing"):
        with pytest.raises(TaskError, match=r"ppo\.policy: expected weights of a policy over"):
            METHODS["ppo"].search(problem(), PPOConfig(policy=str(file)), seed=0)
