"""Every candidate is paired with the all-8-bit reference, whoever trained that and when."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluation import Evaluation
from env.evaluating.evaluator import Evaluator
from env.evaluating.stored_accuracies import StoredAccuracies
from hardware.store import Store
from quant.allocation import Allocation
from quant.objective.paired import PairedDifference
from quant.records.json_form import to_plain
from quant.retraining.finetune_config import FinetuneConfig
from tests.env.conftest import SmallDigits

Weights = Literal["reset", "shared"]
BITS = (8, 4, 2)
PASSES = 4 + 2
"""Of one retraining: its steps, and the held-back images before and after."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.sqlite") as opened:
        yield opened


def make(
    small_digits: SmallDigits,
    store: Store | None = None,
    weights: Weights = "reset",
    past: Sequence[Evaluation] = (),
) -> Evaluator:
    return Evaluator(
        small_digits.network.clone(),
        small_digits.device,
        small_digits.task.train,
        small_digits.task.search,
        EnvConfig(
            weights=weights,
            finetune=FinetuneConfig(
                steps=4,
                batch_size=32,
                compensation_images=16,
                scale_images=0,
                held_back_images=50,
            ),
        ),
        seed=0,
        limit=8,
        past=past,
        accuracies=None if store is None else StoredAccuracies(store, {"test": 1}),
    )


def evaluate(evaluator: Evaluator, *bits: int) -> list[Evaluation]:
    layers = evaluator.network.layers
    return evaluator.evaluate([Allocation.uniform(layers, width) for width in bits])


def beside(evaluations: Sequence[Evaluation]) -> list[PairedDifference | None]:
    return [evaluation.beside_reference for evaluation in evaluations]


def trainings(evaluator: Evaluator) -> list[torch.Tensor]:
    """Return the batches that the evaluator's network is trained on, filled as it is."""
    seen: list[torch.Tensor] = []

    def note(network: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if network is evaluator.network:  # and not the float copy, which has the hook as well
            seen.append(inputs[0].clone())

    evaluator.network.register_forward_pre_hook(note)
    return seen


@pytest.mark.parametrize("weights", ["reset", "shared"])
def test_differences_are_those_of_accuracy_and_loss(
    small_digits: SmallDigits, weights: Weights
) -> None:
    done = evaluate(make(small_digits, weights=weights), *BITS, 8)
    for item in done:
        assert item.beside_reference is not None
        expected = item.score - done[0].score
        assert item.beside_reference.score == pytest.approx(expected)
        assert item.beside_reference.loss == pytest.approx(item.loss - done[0].loss)
        assert Evaluation.from_dict(json.loads(json.dumps(to_plain(item)))) == item
    errors = [one.loss_se for one in beside(done) if one is not None]
    assert errors[0] == 0.0
    assert min(errors[1:3]) > 0.0
    # From the checkpoint all-8-bit is the reference again; with weights that went on it is not.
    assert (errors[3] == 0.0) == (weights == "reset")


def test_every_candidate_sees_the_same_images_in_the_same_order(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits)
    seen = trainings(evaluator)
    evaluate(evaluator, 8, 3)
    assert len(seen) == 2 * PASSES
    for first, second in zip(seen[:PASSES], seen[PASSES:], strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(seen[1], seen[2])


def test_a_second_run_looks_everything_up_and_has_equal_differences(
    small_digits: SmallDigits, store: Store
) -> None:
    first = evaluate(make(small_digits, store), *BITS)
    again = make(small_digits, store)
    seen = trainings(again)
    assert beside(evaluate(again, *BITS)) == beside(first)
    assert seen == []
    assert beside(evaluate(again, 5)) == beside(evaluate(make(small_digits), 8, 5))[1:]


@pytest.mark.parametrize("weights", ["reset", "shared"])
def test_a_resumed_run_pairs_with_the_reference_of_its_first_part(
    small_digits: SmallDigits, store: Store, weights: Weights
) -> None:
    begun = make(small_digits, store, weights)
    past = evaluate(begun, 8, 4)
    expected = evaluate(begun, 2)
    resumed = make(small_digits, store, weights, past)
    resumed.network.load_state_dict(make_state(small_digits, weights))
    assert evaluate(resumed, 8, 4) == past
    assert beside(evaluate(resumed, 2)) == beside(expected)


def make_state(small_digits: SmallDigits, weights: Weights) -> dict[str, torch.Tensor]:
    """Return the weights that evaluations of 8 and 4 bits leave."""
    evaluator = make(small_digits, weights=weights)
    evaluate(evaluator, 8, 4)
    return evaluator.network.state_dict()


def test_a_reference_whose_scores_are_lost_is_retrained_where_weights_are_reset(
    small_digits: SmallDigits,
) -> None:
    """As in runs of versions that kept no scores."""
    past = [replace(item, beside_reference=None) for item in evaluate(make(small_digits), 8)]
    expected = beside(evaluate(make(small_digits), 8, 4))[1]
    reset, shared = (make(small_digits, None, weights, past) for weights in ("reset", "shared"))
    for evaluator in (reset, shared):
        assert evaluate(evaluator, 8) == past
    assert expected is not None
    assert beside(evaluate(reset, 4)) == [expected]
    assert beside(evaluate(shared, 4)) == [None]


def test_an_accuracy_of_the_reference_without_its_scores_is_not_looked_up(
    small_digits: SmallDigits, store: Store, tmp_path: Path
) -> None:
    first = evaluate(make(small_digits, store), *BITS)
    known = StoredAccuracies(store, {"test": 1})
    with Store(tmp_path / "other.sqlite") as other:
        copied = StoredAccuracies(other, {"test": 1})
        for item in first:
            scored = known.get(item.allocation)
            assert scored is not None
            copied.put(item.allocation, scored)
        evaluator = make(small_digits, other)
        seen = trainings(evaluator)
        assert beside(evaluate(evaluator, *BITS)) == beside(first)
        assert len(seen) == PASSES  # the reference, and nothing else
        assert copied.get_scores(first[0].allocation) is not None


def test_a_run_that_did_not_begin_with_the_reference_is_paired_with_nothing(
    small_digits: SmallDigits,
) -> None:
    assert beside(evaluate(make(small_digits), 4, 2)) == [None, None]
