"""Every cost a method may look at, and the budget that its answer keeps whatever it looks at."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.costs.cost_kind import COST_KINDS, CostKind
from agents.costs.proxies import proxy_costs
from agents.hawq.config import HAWQConfig
from agents.mckp import mckp
from agents.mckp.config import MCKPConfig
from agents.ompq import ompq
from agents.ompq.config import OMPQConfig
from agents.solvers.cost_model import CostModel, layer_losses
from agents.solvers.exact import solve_exact
from env.decisions.budget import Budget
from env.decisions.costs import cost_table
from env.decisions.space import decision_space
from env.errors import BudgetError, TaskError
from env.testing import formula_sensitivities, formula_table, tied_layers
from quant.allocation import Allocation
from tests.agents.instances import allows, random_spending
from tests.agents.search_contract import search_by

SOLVERS = {"mckp": mckp.solve_greedy, "hawq": solve_exact, "ompq": ompq.solve_rounded}
LAYERS = tied_layers()
SPACE = decision_space(LAYERS, (2, 4, 6, 8))


def random_losses(spending: Any, rng: np.random.Generator) -> Any:
    rises = {
        (layer.name, kind, bits): float(rng.uniform(0.5, 1.5)) * 4.0**-bits * (1 + 9 * rng.random())
        for layer in spending.space.layers
        for kind in ("weight", "activation")
        for bits in range(2, 9)
    }
    return layer_losses(spending.space, rises)


def case(seed: int) -> tuple[Any, Any, Budget]:
    """Return the spending of a random problem, the problem's parts and its budget."""
    spending, budget, table = random_spending(seed)
    parts = SimpleNamespace(
        space=spending.space,
        layers=spending.space.layers,
        budget=budget,
        table=table,
        evaluator=SimpleNamespace(evaluations=[]),
        corrected_budget=lambda: budget,
    )
    return spending, parts, budget


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_answer_is_inside_the_budget(seed: int) -> None:
    spending, parts, budget = case(seed)
    losses = random_losses(spending, np.random.default_rng(seed))
    model = CostModel(parts, losses)
    found = {name: model.answer(solve) for name, solve in SOLVERS.items()}
    for allocation in found.values():
        assert allocation is not None
        assert spending.space.admits(allocation)
        assert allows(budget, spending, parts.table, allocation)
    loss = {
        name: sum(losses[layer][b.weight_bits, b.activation_bits] for layer, b in a.items)
        for name, a in found.items()
        if a is not None
    }
    assert loss["hawq"] <= min(loss.values()) + 1e-9 * abs(loss["hawq"])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([k for k in COST_KINDS if k != "energy"]))
def test_whatever_a_method_looks_at_it_keeps_the_budget(seed: int, kind: CostKind) -> None:
    spending, parts, budget = case(seed)
    losses = random_losses(spending, np.random.default_rng(seed))
    allocation = CostModel(parts, losses, kind).answer(mckp.solve_greedy)
    assert allocation is not None
    assert allows(budget, spending, parts.table, allocation)


def make_parts(budget: Budget, **options: Any) -> Any:
    return SimpleNamespace(
        space=SPACE,
        layers=LAYERS,
        budget=budget,
        table=formula_table(LAYERS),
        evaluator=SimpleNamespace(evaluations=[]),
        corrected_budget=lambda: budget,
        **options,
    )


def test_looking_at_the_budgets_own_resource_is_looking_at_the_budget() -> None:
    table = formula_table(LAYERS)
    budget = Budget(latency_ms=1.05 * table.predict_ms(Allocation.uniform(LAYERS, 4)))
    losses = layer_losses(SPACE, formula_sensitivities_of_all())
    answers = {
        kind: CostModel(make_parts(budget), losses, kind).answer(solve_exact)
        for kind in ("budget", "latency", "bops", "model_bytes", "mean_bits")
    }
    assert answers["budget"] == answers["latency"]
    assert answers["bops"] != answers["budget"], "bit operations are not this table's time"


def formula_sensitivities_of_all() -> Any:
    rises = dict(formula_sensitivities(LAYERS))
    rises |= {("down", "activation", b): rises["first", "activation", b] for b in range(2, 9)}
    return rises


def test_a_tied_tensors_loss_counts_once() -> None:
    losses = layer_losses(decision_space(LAYERS, (2, 8)), formula_sensitivities_of_all())
    rises = formula_sensitivities_of_all()
    assert losses["first"][2, 8] == rises["first", "weight", 2] + rises["first", "activation", 8]
    assert losses["down"][2, 8] == rises["down", "weight", 2]
    assert set(losses["stem"]) == {(2, 8), (8, 8)}, "the network's input keeps its 8 bits"


def test_proxies_are_bit_operations_and_bits_of_all_numbers() -> None:
    space = decision_space(LAYERS, (2, 4))
    costs = cost_table(space, formula_table(LAYERS))
    bops = proxy_costs("bops", space, costs)
    head = LAYERS[-1]
    assert bops["head"][2, 4] == head.macs * 8
    assert bops["stem"][4, 8] == LAYERS[0].macs * 32
    bits = proxy_costs("mean_bits", space, costs)
    assert bits["head"][2, 4] == 2 * head.parameters + 4 * 3 * 8 * 8
    first, down = (next(la for la in LAYERS if la.name == name) for name in ("first", "down"))
    assert bits["first"][2, 4] - 2 * first.parameters == 4 * 4 * 8 * 8
    assert bits["down"][2, 4] == 2 * down.parameters, "the tensor is counted at its first reader"
    assert bits["stem"][2, 8] == 2 * LAYERS[0].parameters, "the input is no choice"


def test_energy_is_refused_without_a_meter() -> None:
    with pytest.raises(BudgetError, match="energies in the layer table"):
        CostModel(make_parts(Budget(latency_ms=1.0)), {}, "energy")


def test_wrong_values_are_named() -> None:
    with pytest.raises(TaskError, match=r"ompq\.beta"):
        OMPQConfig(beta=-1.0)


@pytest.mark.parametrize(
    ("method", "cost"), [("mckp", "bops"), ("hawq", "mean_bits"), ("ompq", "model_bytes")]
)
def test_methods_take_every_cost_on_digits(problems: Any, method: str, cost: CostKind) -> None:
    configs = {
        "mckp": MCKPConfig(cost=cost, solver="exact"),
        "hawq": HAWQConfig(cost=cost),
        "ompq": OMPQConfig(cost=cost, activations="uniform"),
    }
    problem = problems(limit=7)
    search_by(method, problem, config=configs[method])
    own = [e for e in problem.evaluator.evaluations if e.proposer == method]
    assert own
    assert problem.ledger.training_samples > 0
    for evaluation in own:
        assert problem.space.admits(evaluation.allocation)
        assert evaluation.latency_ms is not None
        assert evaluation.latency_ms <= problem.budget.latency_ms * 1.02
        if method == "ompq":
            assert len({bits.activation_bits for _, bits in evaluation.allocation.items[1:]}) == 1
