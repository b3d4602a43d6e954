"""What a user says of single layers is kept by every method, inside the budget, whatever it is."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.bayes.config import BayesConfig
from agents.evolution.config import EvolutionConfig
from agents.methods import METHODS
from agents.ppo.config import PPOConfig
from agents.search import SearchProblem
from env.decisions.budget import Budget
from env.decisions.costs import model_bytes
from env.decisions.decisions import DecisionSpace
from env.decisions.space import decision_space
from env.tasks import Split
from env.testing import FormulaEvaluator, formula_sensitivities, random_rules
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.layers import LayerSpec
from quant.network import QuantizedNetwork
from quant.retraining.retrainer import Retrainer
from quant.testing import TinyBranchNet, prepare_calibrated, random_images
from tests.agents.formula_problem import formula_problem
from tests.agents.instances import random_layers, random_table
from tests.agents.search_contract import inside, search_by
from tests.quant.token_networks import IMAGE, WindowsNet

LIMIT = 8
SEEDS = st.integers(0, 2**32 - 1)
TRAINING = ("amed", "clado", "qbitopt")
"""Methods that run a network themselves; for the others, random layers are enough."""
QUICK = {
    "ppo": PPOConfig(policy_samples=4, race=0),
    "bayes": BayesConfig(race=2),
    "evolution": EvolutionConfig(offspring=2),
}


def random_space(layers: tuple[LayerSpec, ...], rng: np.random.Generator) -> DecisionSpace:
    choices = sorted(rng.choice(range(2, 9), size=int(rng.integers(2, 8)), replace=False).tolist())
    return decision_space(layers, choices, random_rules(layers, choices, rng))


def random_budget(space: DecisionSpace, table: LayerTable, rng: np.random.Generator) -> Budget:
    """A budget of one or two resources that some allocation of the space meets, often just so."""
    some = space.allocation([int(rng.choice(decision.menu)) for decision in space.decisions])
    slack = float(rng.choice([1.0, 1.1, 1.5])) + 1e-5
    which = rng.integers(3)
    return Budget(
        latency_ms=None if which == 1 else table.predict_ms(some) * slack,
        model_bytes=None if which == 0 else int(model_bytes(space.layers, some) * slack),
    )


def random_problem(seed: int, layers: tuple[LayerSpec, ...] = ()) -> SearchProblem:
    """Return a problem of some layers, or of random ones, and nothing evaluated but all-8."""
    rng = np.random.default_rng(seed)
    layers = layers or random_layers(rng)
    space, table = random_space(layers, rng), random_table(layers, rng)
    rises = formula_sensitivities(layers)
    evaluator = FormulaEvaluator(space, table, rises, scale=0.01, practice=False, limit=LIMIT)
    evaluator.proposer = "reference"
    reference = evaluator.evaluate([Allocation.uniform(layers, 8)])[0]
    budget = random_budget(space, table, rng)
    return formula_problem(table, evaluator, reference, budget, None, space)


def with_network(
    problem: SearchProblem, network: QuantizedNetwork, shape: Sequence[int] = (3, 10, 12)
) -> SearchProblem:
    """The same, with a network to train; accuracies still come from the formula."""
    images, labels = random_images(64, shape), torch.arange(64) % 5
    split = Split(images=images, labels=labels)
    return replace(
        problem,
        prepare=network.clone,
        retrainer=lambda config: Retrainer(network, images, labels, config),
        train=split,
        search=split,
    )


def check(problem: SearchProblem, method: str) -> None:
    """Search, and look at everything that was evaluated and answered."""
    answers = search_by(method, problem, config=QUICK.get(method)).candidates
    evaluations = problem.evaluator.evaluations
    found = {e.allocation: e for e in evaluations}
    asked = {(e.allocation, e.repeat) for e in evaluations}
    assert len(asked) == len(evaluations) <= LIMIT, "nothing is evaluated twice with one seed"
    for evaluation in evaluations[1:]:
        assert problem.space.admits(evaluation.allocation), evaluation.proposer
        assert inside(problem, evaluation.allocation, None), evaluation.proposer
    for answer in answers:
        assert problem.space.admits(answer)
        assert inside(problem, answer, found[answer])
    assert answers or method == "uniform"


def check_all(seed: int, network: QuantizedNetwork) -> None:
    for method in METHODS:
        if method in TRAINING:
            check(with_network(random_problem(seed, network.layers), network), method)
        else:
            check(random_problem(seed), method)


@pytest.fixture(scope="module")
def branches() -> QuantizedNetwork:
    torch.manual_seed(0)
    return prepare_calibrated(TinyBranchNet().eval(), random_images(32, (3, 10, 12)))


@pytest.fixture(scope="module")
def attention() -> QuantizedNetwork:
    torch.manual_seed(0)
    return prepare_calibrated(WindowsNet().eval(), random_images(32, IMAGE))


@pytest.mark.slow  # some methods train a network
@pytest.mark.parametrize("method", METHODS)
def test_methods_decide_what_attention_multiplies(attention: QuantizedNetwork, method: str) -> None:
    problem = random_problem(7, attention.layers)
    if method in TRAINING:
        problem = with_network(problem, attention, IMAGE)
    products = [layer.name for layer in attention.layers if not layer.has_weights]
    assert any(problem.space.steps(name) != (None, None) for name in products)
    check(problem, method)


@settings(max_examples=2, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_methods_keep_rules_and_budget(branches: QuantizedNetwork, seed: int) -> None:
    check_all(seed, branches)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)  # ten minutes and more of a core that has nothing else to do
@settings(max_examples=500, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_methods_keep_rules_and_budget_500_times(branches: QuantizedNetwork, seed: int) -> None:
    check_all(seed, branches)
