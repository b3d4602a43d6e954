"""CLADO: terms are those of the network, and descents find the optimum of small programs."""

import itertools

import numpy as np
import pytest
import torch

from agents.clado.pair_terms import measure_terms
from agents.clado.quadratic import QuadraticProgram
from agents.search import SearchProblem
from env.responses.columns import Floats
from tests.agents.instances import random_spending
from tests.agents.search_contract import MakeProblem


@pytest.fixture
def problem(problems: MakeProblem) -> SearchProblem:
    return problems(limit=3, rules=["*=2,8"])


def test_terms_are_rises_of_the_networks_loss(problem: SearchProblem) -> None:
    terms = measure_terms(problem, 32, pairs=False)
    network, space = problem.prepare(), problem.space
    images, labels = problem.train.images[:32], problem.train.labels[:32]

    def loss(bits: list[int]) -> float:
        network.set_allocation(space.allocation(bits))
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(network(images), labels))

    wide = [decision.menu[-1] for decision in space.decisions]
    narrow = [space.decisions[0].menu[0], *wide[1:]]
    assert terms[0, 0] == pytest.approx(loss(narrow) - loss(wide), abs=1e-5)
    assert np.count_nonzero(terms - np.diag(np.diag(terms))) == 0


def test_pairs_are_charged_and_make_a_matrix_without_gains(problem: SearchProblem) -> None:
    count = sum(len(decision.menu) - 1 for decision in problem.space.decisions)
    before = problem.ledger.training_samples
    terms = measure_terms(problem, 16, pairs=True)
    passes = 1 + count + count * (count - 1) // 2
    assert problem.ledger.training_samples - before == 16 * passes
    assert np.allclose(terms, terms.T)
    assert np.linalg.eigvalsh(terms).min() > -1e-9
    assert np.count_nonzero(terms - np.diag(np.diag(terms)))


def test_descents_find_the_optimum_of_small_programs() -> None:
    reached = 0
    for seed in range(10):
        spending, _, _ = random_spending(seed)
        rng = np.random.default_rng(seed)
        size = len(spending.choices) * int(spending.choices.max())
        factor = rng.standard_normal((size, 4))
        # As networks have them: what one decision does alone is most of it.
        terms: Floats = 0.1 * factor @ factor.T + np.diag(np.exp(rng.standard_normal(size)))
        program = QuadraticProgram(terms, spending)
        rows = np.array(list(itertools.product(*map(range, spending.choices)))[:20_000])
        inside = rows[spending.inside(rows)]
        best = program.best((), rng)
        assert best is not None
        assert spending.inside(best)
        reached += float(program.losses(best[None])[0]) <= program.losses(inside).min() + 1e-9
        other = program.best({tuple(map(int, best))}, rng)
        assert other is None or tuple(other) != tuple(best)
    assert reached >= 9
