"""Products of two tensors: each tensor is a decision, whoever reads it; what they cost."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from agents.costs.proxies import proxy_costs
from agents.solvers.cost_model import choices_within, layer_losses
from agents.solvers.exact import solve_exact, solve_program
from env.decisions.budget import Budget
from env.decisions.costs import cost_table, layer_bytes, model_bytes
from env.decisions.decisions import DecisionSpace
from env.decisions.layer_rules import parse_rules
from env.decisions.masks import BudgetMask
from env.decisions.space import decision_space
from env.errors import LayerRuleError
from env.observation import Observer
from env.responses.layer_facts import FACTS, layer_facts
from env.testing import (
    attention_layers,
    formula_sensitivities,
    formula_table,
    product_layer,
    tied_layers,
)
from env.token_observer import TokenObserver
from quant.allocation import Allocation, ProductBits
from quant.testing import random_allocation

LAYERS = attention_layers()
CHOICES = (2, 4, 8)
WHOLE = decision_space(LAYERS, CHOICES)
QKV, SHARES = ("attn.matmul", "activation"), ("attn.matmul#2", "activation")


def space(*rules: str) -> DecisionSpace:
    return decision_space(LAYERS, CHOICES, parse_rules(rules))


def menus(*rules: str) -> dict[tuple[str, str], tuple[int, ...]]:
    return {(d.layer, d.kind): d.menu for d in space(*rules).decisions}


def test_each_tensor_that_is_multiplied_is_decided_once() -> None:
    assert [(d.layer, d.kind) for d in WHOLE.decisions] == [
        ("stem", "weight"),
        ("qkv", "weight"),
        ("qkv", "activation"),
        QKV,
        SHARES,
        ("head", "weight"),
        ("head", "activation"),
    ]
    assert WHOLE.pairs("attn.matmul") == ((2, 2), (4, 4), (8, 8))
    assert set(WHOLE.pairs("attn.matmul#2")) == set(product(CHOICES, CHOICES))
    of_qkv = WHOLE.decisions[3]
    assert WHOLE.layers_of(of_qkv) == ("attn.matmul", "attn.matmul#2")


def test_a_tensor_that_a_product_reads_first_on_its_right_side() -> None:
    layers = (*LAYERS[:2], product_layer("scores", "q", "k"), product_layer("mixed", "s", "v"))
    found = decision_space(layers, CHOICES)
    named = [(d.layer, d.kind, str(d)) for d in found.decisions[3:]]
    assert named == [
        ("scores", "weight", "the right tensor of scores"),
        ("scores", "activation", "the activations of scores"),
        ("mixed", "weight", "the right tensor of mixed"),
        ("mixed", "activation", "the activations of mixed"),
    ]
    allocation = found.allocation((8, 8, 8, 2, 4, 4, 8))
    assert allocation["scores"] == ProductBits(weight_bits=2, activation_bits=4)
    assert found.bits_of(allocation) == (8, 8, 8, 2, 4, 4, 8)
    assert found.admits(allocation)


def test_allocations_go_there_and_back() -> None:
    allocation = WHOLE.allocation((2, 4, 8, 4, 2, 8, 4))
    allocation.check(LAYERS, CHOICES)
    assert allocation["attn.matmul"] == ProductBits(weight_bits=4, activation_bits=4)
    assert allocation["attn.matmul#2"] == ProductBits(weight_bits=4, activation_bits=2)
    assert Allocation.from_dict(allocation.to_dict()) == allocation
    assert allocation.products == ("attn.matmul", "attn.matmul#2")
    assert allocation.mean_bits() == pytest.approx((14 / 3, 34 / 7))
    for seed in range(20):
        random_allocation(LAYERS, np.random.default_rng(seed)).check(LAYERS)


def test_rules_for_products_and_for_layers_among_them() -> None:
    assert menus("*=2,4/8")[("head", "weight")] == (2, 4)
    assert QKV not in menus("*=2,4/8")  # both tensors are read, as activations are
    assert menus("attn.matmul*=2,4/4,8")[SHARES] == (4, 8)
    assert QKV not in menus("attn.matmul*=2,4/4,8")  # right and left of the first, so 4
    assert menus("attn.matmul#2=2,4/4,8")[QKV] == (2, 4)
    assert menus("*=4,8,float/*")[("head", "weight")] == (4, 8, 32)
    tied = space("attn.* tied").decisions[3]
    assert [str(part) for part in tied.parts] == [
        "the activations of attn.matmul",
        "the activations of attn.matmul#2",
    ]
    assert len(space("* paired").decisions) == 4  # stem, qkv, both products' tensors, head
    with pytest.raises(
        LayerRuleError, match=r"attn.matmul, a product of two, found 'attn.*=float'"
    ):
        space("attn.*=float")


def test_costs_count_each_product_at_its_pair_and_no_bytes() -> None:
    table = formula_table(LAYERS)
    costs = cost_table(WHOLE, table)
    assert set(costs.pairs["attn.matmul"]) == {(2, 2), (4, 4), (8, 8)}
    assert {int(cost[1]) for cost in costs.pairs["attn.matmul#2"].values()} == {0}
    assert layer_bytes(LAYERS[2], 8) == 0
    allocation = WHOLE.uniform(4)
    assert model_bytes(LAYERS, allocation) == costs.total(allocation)[1]
    proxy = proxy_costs("mean_bits", WHOLE, costs)
    assert proxy["attn.matmul"][4, 4] == 4 * 128  # the tensor of both once
    assert proxy["attn.matmul#2"][8, 2] == 2 * 128
    assert proxy_costs("bops", WHOLE, costs)["attn.matmul#2"][8, 2] == 2048 * 16


def test_masks_and_solvers_agree_with_enumeration() -> None:
    table, rises = formula_table(LAYERS), formula_sensitivities(LAYERS)
    costs = cost_table(WHOLE, table)
    all_bits = list(product(CHOICES, repeat=len(WHOLE.decisions)))
    times = np.array([costs.total(WHOLE.allocation(bits))[0] for bits in all_bits])
    limit_ms = float(np.quantile(times, 0.2)) / 1e9
    budget = Budget(latency_ms=limit_ms)
    inside = [bits for bits, time in zip(all_bits, times, strict=True) if time <= limit_ms * 1e9]
    mask = BudgetMask(WHOLE, costs, budget)
    state = mask.start()
    for step in range(len(WHOLE.decisions)):
        legal = mask.outlook(state).legal
        prefixes = {bits[step] for bits in inside if bits[:step] == inside[-1][:step]}
        assert {w for w, ok in zip(WHOLE.widths, legal, strict=True) if ok} == prefixes
        state = mask.advance(state, inside[-1][step])
    losses = layer_losses(WHOLE, rises)
    problem = choices_within(WHOLE, losses, costs, budget)

    def loss(bits: Sequence[int]) -> float:
        pairs = zip(WHOLE.decisions, bits, strict=True)
        return sum(rises[d.layer, d.kind, width] for d, width in pairs)

    for solve in (solve_exact, solve_program):
        picks = solve(problem)
        assert picks is not None
        assert problem.loss(picks) == pytest.approx(min(map(loss, inside)))
        assert problem.allocation(picks) == WHOLE.allocation(min(inside, key=loss))


def test_what_policies_see_of_a_product() -> None:
    table, rises = formula_table(LAYERS), formula_sensitivities(LAYERS)
    seen = Observer(WHOLE, table, rises).observe((8, 8, 8), (1, 1, 1), (1, 1, 1))
    names = Observer(WHOLE, table, rises).names
    shown = dict(zip(names, seen.tolist(), strict=True))
    assert (shown["is_conv2d"], shown["is_linear"]) == (0.0, 0.0)
    assert (shown["decides_weights"], shown["decides_activations"]) == (0.0, 1.0)
    assert np.isfinite(seen).all()
    facts = dict(zip(FACTS, layer_facts(WHOLE, WHOLE.decisions)[3], strict=True))
    assert facts["log_parameters"] == 0.0  # it has none, and counts as the others do
    assert facts["is_activation"] == 0.5
    tokens = TokenObserver(WHOLE, table).observe((), (1, 1, 1), (1, 1, 1))["tokens"]
    assert np.isfinite(tokens).all()


def test_networks_without_products_have_the_decisions_that_they_had() -> None:
    found = decision_space(tied_layers(), CHOICES)
    assert [(d.layer, d.kind) for d in found.decisions][:3] == [
        ("stem", "weight"),
        ("first", "weight"),
        ("first", "activation"),
    ]
    assert not found.uniform(4).products
