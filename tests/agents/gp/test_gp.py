"""The Gaussian process needs Optuna, and says so; it learns in a world without noise."""

import builtins
from typing import Any

import pytest

from agents.errors import MissingExtraError
from agents.gp.config import GPConfig
from agents.gp.gp import search
from agents.testing import QUIET, calibrated_prior, draw_world


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def refuse(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "optuna":
            raise ImportError(name)
        return plain(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    problem = draw_world(QUIET, 0).problem(
        share=0.3, limit=4, seed=0, prior=calibrated_prior(QUIET)
    )
    with pytest.raises(MissingExtraError, match="optuna for the method gp") as caught:
        search(problem, GPConfig(), seed=0)
    assert "bitalloc[rivals]" in str(caught.value.hint)


def test_what_it_asks_for_depends_on_what_it_was_told() -> None:
    """Two simulated worlds of equal costs, in which other allocations are good."""
    asked = []
    for world in (draw_world(QUIET, 0), draw_world(QUIET, 1)):
        problem = world.problem(share=0.3, limit=8, seed=0, prior=calibrated_prior(QUIET))
        search(problem, GPConfig(random=2), seed=0)
        own = [e for e in problem.evaluator.evaluations if e.proposer == "gp"]
        asked.append([world.space.bits_of(e.allocation) for e in own])
        assert len(own) > 3
    assert asked[0] != asked[1]
