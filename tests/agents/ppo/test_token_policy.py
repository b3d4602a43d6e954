"""The token policy: networks of any length, answers inside the budget, the same under padding."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_model

from agents.ppo.token_play import propose_tokens
from agents.ppo.token_policy import TokenPolicy, beside
from agents.ppo.token_weights import SHIPPED, token_policy_of
from agents.solvers.cost_model import choices_within
from agents.solvers.exact import solve_exact
from agents.solvers.response_losses import response_losses
from env.decisions.costs import budget_between, cost_table
from env.decisions.space import decision_space
from env.errors import TaskError
from env.responses.table_losses import table_losses
from env.testing import tied_layers
from env.token_observer import WIDTHS
from env.token_view import table_view
from hardware.layers.table import LayerTable
from tests.env.test_token_view import view

_LARGEST_BYTES = 2_000_000


def policy() -> TokenPolicy:
    torch.manual_seed(0)
    found = view()
    made = TokenPolicy(found.observation_space, found.action_space, lambda _: 1e-3)
    with torch.no_grad():  # as after some training: an untrained one says nothing
        made.action_net.says.weight.normal_(0, 0.05)
    made.set_training_mode(False)
    return made


def logits(made: TokenPolicy, length: int) -> torch.Tensor:
    found = view(length=length)
    seen, _ = found.reset()
    tensors = {key: torch.from_numpy(value[None]) for key, value in seen.items()}
    with torch.no_grad():
        latent = made.mlp_extractor.forward_actor(made.extract_features(tensors))
        said: torch.Tensor = made.action_net(latent)
    return said


def test_padding_says_nothing() -> None:
    made = policy()
    plain = logits(made, 0)
    assert plain.shape == (1, len(WIDTHS))
    assert torch.allclose(plain, logits(made, 40), atol=1e-5)


def test_every_answer_is_inside_the_budget() -> None:
    made = policy()
    for rules in ((), ("first paired",)):
        found = view(rules=rules, menu=(2, 3, 5, 8))
        choice = propose_tokens(made, found, 0, np.random.default_rng(1))
        drawn = propose_tokens(made, found, 16, np.random.default_rng(1))
        for allocation in drawn:
            assert found.network.table.predict_ms(allocation) <= found.network.budget.latency_ms  # type: ignore[operator]
        assert choice == drawn[:1]
        assert 1 < len(drawn) == len(set(drawn)) <= 17


def test_what_costs_nothing_is_chosen_wide_and_what_loses_nothing_narrow() -> None:
    """Before any training the price is one: losses and times count alike."""
    found = view(menu=(2, 8))
    torch.manual_seed(0)
    made = TokenPolicy(found.observation_space, found.action_space, lambda _: 1e-3)
    count = len(found.network.decisions)
    responses = np.zeros((count, 2))
    responses[0, 0] = 1.0  # one decision loses everything there is to lose
    found.show(responses)
    (choice,) = propose_tokens(made, found, 0, np.random.default_rng(0))
    bits = found.network.space.bits_of(choice)
    assert bits[0] == 8
    assert set(bits[1:]) == {2}


def test_logits_are_those_of_the_policy_that_stable_baselines3_trains() -> None:
    made, found = policy(), view(menu=(2, 3, 5, 8))
    seen, _ = found.reset()
    tensors = {key: torch.from_numpy(value[None]) for key, value in seen.items()}
    legal = found.action_masks()[None]
    with torch.no_grad():
        plain = made.logits(tensors, torch.from_numpy(legal)).softmax(1)
        theirs = made.get_distribution(tensors, action_masks=legal).distribution.probs
    assert torch.allclose(plain, theirs, atol=1e-6)
    assert (plain[0, ~torch.from_numpy(legal[0])] == 0).all()


def test_what_tokens_share_is_multiplied_once_and_counts_for_each() -> None:
    """As the whole row of each token would come out."""
    made, found = policy(), view()
    seen, _ = found.reset()
    extractor = made.features_extractor
    tokens, whole = (torch.from_numpy(seen[name])[None] for name in ("tokens", "whole"))
    rows = torch.cat([tokens, whole[:, None].expand(-1, tokens.shape[1], -1)], 2)
    with torch.no_grad():
        assert torch.allclose(
            beside(extractor.embed, tokens, whole), extractor.embed(rows), atol=1e-6
        )


def test_the_shipped_weights_are_read_once_and_others_when_they_change(tmp_path: Path) -> None:
    assert token_policy_of(SHIPPED) is token_policy_of(SHIPPED)
    file = tmp_path / "own.safetensors"
    save_model(policy(), str(file))
    first = token_policy_of(str(file))
    assert first is token_policy_of(str(file))
    os.utime(file, ns=(1, 1))
    assert first is not token_policy_of(str(file))
    with pytest.raises(TaskError, match="expected weights of a policy over tokens"):
        token_policy_of(str(tmp_path / "none"))


def test_equal_generators_draw_equally() -> None:
    made, found = policy(), view(menu=(2, 3, 5, 8))
    first = propose_tokens(made, found, 16, np.random.default_rng(3))
    assert propose_tokens(made, found, 16, np.random.default_rng(3)) == first
    assert propose_tokens(made, found, 16, np.random.default_rng(4)) != first


_SUMS = 16, 15, 14, 13, 12, 11, 5
_TIMES = 1.39, 1.14, 0.92, 0.84, 0.82, 0.77, 0.75
"""Microseconds of a convolution on AVX2 from these sums of weight and activation bits on; below
the last one it has another kernel, which takes 0.57."""


@pytest.mark.parametrize("share", [0.05, 0.15, 0.3, 0.5, 0.8])
def test_the_shipped_policy_knows_times_that_go_by_both_widths_together(share: float) -> None:
    """Two bits beside eight are no faster than six beside seven, though alone they seem to be."""
    layers = tied_layers()
    space = decision_space(layers, tuple(range(2, 9)))

    def time(both: int) -> float:
        return next((t for s, t in zip(_SUMS, _TIMES, strict=True) if both >= s), 0.57)

    times = {layer.name: {(w, a): time(w + a) for w in WIDTHS for a in WIDTHS} for layer in layers}
    table = LayerTable(times_us=times, overhead_us=0.5, source="simulated", disturbed_share=0.0)
    budget = budget_between(space, table, share)
    responses = np.array([[0.01 * 8.0**-step for step in range(6)] + [0.0]] * len(space.decisions))
    found = table_view(space, table, budget)
    found.show(responses)
    drawn = propose_tokens(token_policy_of(SHIPPED), found, 128, np.random.default_rng(0))
    losses, costs = response_losses(space, responses), cost_table(space, table)
    problem = choices_within(space, losses, costs, budget)
    picks = solve_exact(problem)
    assert picks is not None
    least, *lost = table_losses(space, responses, [problem.allocation(picks), *drawn])
    floor = 1e-3 * responses.max(1).sum()  # losses that differ by less are equal
    assert min(lost) + floor <= 1.25 * (least + floor)


def test_the_weights_are_small() -> None:
    assert sum(4 * p.numel() for p in policy().parameters()) < _LARGEST_BYTES


def test_draws_that_share_their_beginning_are_drawn_as_if_each_were_alone() -> None:
    made, found = policy(), view(menu=(2, 8))
    seen, _ = found.reset()
    tensors = {key: torch.from_numpy(value[None]) for key, value in seen.items()}
    with torch.no_grad():
        chance = made.logits(tensors, torch.from_numpy(found.action_masks()[None])).softmax(1)[0]
    rng = np.random.default_rng(2)
    first = [
        found.network.space.bits_of(one)[0]
        for _ in range(80)
        for one in propose_tokens(made, found, 1, rng)[-1:]
    ]
    wide = float(chance[WIDTHS.index(8)])
    assert 0.1 < wide < 0.9
    assert abs(first.count(8) / len(first) - wide) < 4 * (wide * (1 - wide) / len(first)) ** 0.5
