"""Which uniform allocations every search evaluates before its own."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from agents.search import SearchProblem
from agents.uniform import uniform_inside
from env.decisions.budget import MEASURED_TOLERANCE, Budget
from env.decisions.costs import model_bytes
from env.testing import FormulaEvaluator, formula_table
from quant.allocation import Allocation
from tests.agents.formula_problem import CHOICES, LAYERS, SENSITIVITIES, SPACE, formula_problem
from tests.agents.search_contract import search_by

TABLE = formula_table(LAYERS)
Make = Callable[[Budget], SearchProblem]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    evaluator = FormulaEvaluator(SPACE, TABLE, SENSITIVITIES, scale=0.02, practice=False, limit=9)
    reference = evaluator.evaluate([Allocation.uniform(LAYERS, 8)])[0]
    return lambda budget: formula_problem(TABLE, evaluator, reference, budget, tmp_path)


def pairs_of(problem: SearchProblem) -> list[tuple[int, int]]:
    named = {SPACE.uniform(w, a): (w, a) for w in CHOICES for a in CHOICES}
    return [named[allocation] for allocation in uniform_inside(problem)]


def test_where_only_bytes_count_activations_have_8_bits(make: Make) -> None:
    problem = make(Budget(model_bytes=model_bytes(LAYERS, SPACE.uniform(4))))
    assert pairs_of(problem) == [(4, 8), (4, 4), (2, 2)]
    answer = search_by("uniform", problem).candidates[0]
    assert answer == SPACE.uniform(4, 8)


def test_of_pairs_inside_a_time_those_are_taken_that_no_other_exceeds(make: Make) -> None:
    fastest, all_8 = (TABLE.predict_ms(SPACE.uniform(bits)) for bits in (2, 8))
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        budget = Budget(latency_ms=fastest + share * (all_8 - fastest))
        problem = make(budget)
        inside = [(w, a) for w, a in product(CHOICES, repeat=2) if is_inside(budget, (w, a))]
        pairs = pairs_of(problem)
        assert set(pairs) <= set(inside)
        assert [sum(pair) for pair in pairs] == sorted(map(sum, pairs), reverse=True)
        assert len(set(pairs)) == len(pairs)
        widest = [pair for pair in inside if not any(exceeds(other, pair) for other in inside)]
        added = [pair for pair in pairs if pair[0] != pair[1]]
        assert set(added) <= set(widest)
        assert len(added) <= 2
        assert max(widest, key=sum) in pairs or len(widest) > 2


def test_a_budget_that_all_8_meets_asks_for_no_pair(make: Make) -> None:
    problem = make(Budget(latency_ms=2 * TABLE.predict_ms(SPACE.uniform(8))))
    assert pairs_of(problem) == [(8, 8), (6, 6), (4, 4), (2, 2)]


def is_inside(budget: Budget, pair: tuple[int, int]) -> bool:
    limit = (1 + MEASURED_TOLERANCE) * (budget.latency_ms or 0.0)
    return TABLE.predict_ms(SPACE.uniform(*pair)) <= limit


def exceeds(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one != other and one[0] >= other[0] and one[1] >= other[1]
