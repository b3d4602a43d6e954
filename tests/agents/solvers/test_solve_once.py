"""Methods that solve once: the answer first, then the next best, the same after a stop."""

from typing import Any

import pytest

from agents.mckp.config import MCKPConfig
from agents.solvers.cost_model import CostModel, layer_losses
from agents.solvers.exact import solve_exact
from agents.uniform import evaluate_uniform
from tests.agents.search_contract import search_by

SOLVED = ("mckp", "hawq", "ompq")


@pytest.mark.parametrize("method", SOLVED)
def test_a_stopped_search_goes_on_with_the_same_allocations(problems: Any, method: str) -> None:
    whole = problems(limit=7, share=0.2)
    search_by(method, whole)
    expected = whole.evaluator.evaluations
    assert [e.proposer for e in expected].count(method) >= 2
    again = problems(limit=7, share=0.2, past=expected[:5])
    search_by(method, again)
    assert [e.allocation for e in again.evaluator.evaluations] == [e.allocation for e in expected]
    assert again.ledger.training_samples == whole.ledger.training_samples > 0


def test_the_answer_comes_first_and_the_next_best_in_order(problems: Any) -> None:
    problem = problems(limit=8, share=0.3)
    search_by("hawq", problem)
    losses = layer_losses(problem.space, problem.sensitivities.table("hessian").rises)
    own = [e.allocation for e in problem.evaluator.evaluations if e.proposer == "hawq"]
    totals = [
        sum(losses[name][bits.weight_bits, bits.activation_bits] for name, bits in a.items)
        for a in own
    ]
    assert len(own) >= 3
    assert totals == sorted(totals)
    fresh = problems(limit=8, share=0.3)
    evaluate_uniform(fresh)  # the latency is then corrected by the same evaluations
    assert own[0] == CostModel(fresh, losses).answer(solve_exact)


def test_mckp_takes_any_sensitivity(problems: Any) -> None:
    charged = set()
    for kind in ("measured", "fisher"):
        problem = problems(limit=5, share=0.2)
        search_by("mckp", problem, config=MCKPConfig(sensitivity=kind))
        table = problem.sensitivities.table(kind)
        assert problem.ledger.training_samples == table.samples
        charged.add(table.samples)
    assert len(charged) == 2


def test_the_network_is_left_as_it_was(problems: Any, network: Any) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    search_by("hawq", problems(limit=4, share=0.2))
    assert all((value == before[name]).all() for name, value in network.state_dict().items())
