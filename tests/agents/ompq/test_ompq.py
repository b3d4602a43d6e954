"""OMPQ's importance by hand, and more bits for layers that are unlike the others."""

import math
from typing import Any

import numpy as np
import pytest

from agents.ompq.config import OMPQConfig
from agents.ompq.ompq import bit_worth, importance, solve_rounded
from agents.solvers.choice_problem import ChoiceProblem, LayerChoices
from quant.sensitivities import Orthogonality
from tests.agents.search_contract import proposed_by, search_by

MATRIX = ((1.0, 0.5, 0.1), (0.5, 1.0, 0.2), (0.1, 0.2, 1.0))
FOUND = Orthogonality(layers=("a", "b", "c"), matrix=MATRIX, images=4)


def test_importance_falls_with_the_similarities_to_others() -> None:
    found = importance(FOUND, 2.0)
    sums = {"a": 0.6, "b": 0.7, "c": 0.3}
    for layer, total in sums.items():
        assert found[layer] == pytest.approx(math.exp(-2.0 * (total - 0.3)))
    assert importance(FOUND, 0.0) == {"a": 1.0, "b": 1.0, "c": 1.0}
    assert max(importance(FOUND, 1000.0).values()) == 1.0, "no beta makes all of them vanish"


def test_a_bit_is_worth_the_mean_importance_from_its_layer_on() -> None:
    assert bit_worth({"a": 1.0, "b": 4.0, "c": 2.0}) == pytest.approx(
        {"a": 7 / 3, "b": 3.0, "c": 2.0}
    )


def bits_problem(limit: int) -> ChoiceProblem:
    """Two layers whose bits cost a unit each, the first worth twice the second."""
    return ChoiceProblem(
        layers=tuple(
            LayerChoices(
                layer=name,
                steps=("ab".index(name), None),
                pairs=tuple((bits, 8) for bits in (2, 4, 8)),
                losses=np.array([-worth * bits for bits in (2, 4, 8)]),
                costs=np.array([[2], [4], [8]]),
            )
            for name, worth in (("a", 2.0), ("b", 1.0))
        ),
        limits=np.array([limit]),
    )


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (16, (8, 8)),
        (12, (8, 4)),
        (10, (8, 2)),
        # The program says 7 and 2, which rounds to 8 and 2: one unit too many, repaired.
        (9, (4, 4)),
        (4, (2, 2)),
    ],
)
def test_rounded_bits_are_repaired_into_the_budget(limit: int, expected: tuple[int, int]) -> None:
    problem = bits_problem(limit)
    picks = solve_rounded(problem)
    assert picks is not None
    assert problem.inside(picks)
    chosen = tuple(layer.pairs[p][0] for layer, p in zip(problem.layers, picks, strict=True))
    assert chosen == expected


@pytest.mark.parametrize("activations", ["allocated", "uniform"])
def test_activations_are_allocated_or_all_the_same(problems: Any, activations: Any) -> None:
    problem = problems(limit=8, share=0.2)
    search_by("ompq", problem, config=OMPQConfig(beta=5.0, activations=activations))
    own = [e.allocation for e in proposed_by("ompq", problem)]
    assert own
    inputs = {layer.name for layer in problem.layers if layer.reads_input}
    widths = [
        len({bits.activation_bits for name, bits in allocation.items if name not in inputs})
        for allocation in own
    ]
    if activations == "uniform":
        assert set(widths) == {1}
    else:
        assert max(widths) > 1
