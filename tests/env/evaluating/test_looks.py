"""Retraining during the episode: what is seen after each decision, stepped or evaluated at once."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from env.bit_allocation import BitAllocationEnv
from env.decisions.budget import Budget
from env.decisions.space import decision_space
from env.errors import EvaluationLimitError, TaskError
from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluation import Evaluation
from env.evaluating.evaluator import Evaluator
from env.evaluating.stored_accuracies import StoredAccuracies
from env.testing import formula_sensitivities
from hardware.store import Store
from quant.allocation import Allocation
from quant.errors import TrainingError
from quant.records.json_form import to_plain
from quant.retraining.finetune_config import FinetuneConfig, images_seen
from quant.retraining.staged import StagedRetraining
from tests.env.conftest import SmallDigits

CHOICES = (2, 3, 4, 8)
QUICK = FinetuneConfig(
    steps=9, batch_size=32, compensation_images=16, held_back_images=120, range_test=False
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.sqlite") as opened:
        yield opened


def config(**changes: Any) -> EnvConfig:
    return EnvConfig(
        bit_choices=CHOICES, retrain="during", finetune=replace(QUICK, **changes), layers=()
    )


def make(
    small_digits: SmallDigits,
    store: Store | None = None,
    past: Sequence[Evaluation] = (),
    limit: int = 8,
    **changes: Any,
) -> Evaluator:
    return Evaluator(
        small_digits.network.clone(),
        small_digits.device,
        small_digits.task.train,
        small_digits.task.search,
        config(**changes),
        seed=0,
        limit=limit,
        past=past,
        accuracies=None if store is None else StoredAccuracies(store, {"test": 1}),
    )


def make_env(small_digits: SmallDigits, evaluator: Evaluator) -> BitAllocationEnv:
    layers = small_digits.network.layers
    return BitAllocationEnv(
        space=decision_space(layers, CHOICES),
        budget=Budget(),
        evaluator=evaluator,
        table=small_digits.table,
        sensitivities=formula_sensitivities(layers),
        reference=evaluator.evaluate([Allocation.uniform(layers, 8)])[0],
        looks=True,
    )


def draw(env: BitAllocationEnv, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    return [int(rng.choice(decision.menu)) for decision in env.decisions]


def play(env: BitAllocationEnv, bits: Sequence[int]) -> list[dict[str, Any]]:
    """Return what is seen after each step, with the observation by name."""
    env.reset()
    seen = []
    for width in bits:
        observation, *_, info = env.step(np.int64(env.space.widths.index(width)))
        assert observation in env.observation_space
        names = (f"observed_{name}" for name in env.observer.names)
        seen.append({**info, **dict(zip(names, observation.tolist(), strict=True))})
    return seen


def same(one: Evaluation, other: Evaluation) -> bool:
    """Whether two evaluations are one, but for seconds and numbers."""
    unlike = ("train_s", "build_s", "measure_s", "cached", "index")
    first, second = (to_plain(evaluation) for evaluation in (one, other))
    return all(first[name] == second[name] for name in first if name not in unlike)


def test_what_is_stepped_is_what_is_evaluated_at_once(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits)
    env = make_env(small_digits, evaluator)
    bits = draw(env, 0)
    seen = play(env, bits)
    evaluation = seen[-1]["evaluation"]
    assert len(evaluation.looks) == len(bits)
    for found, look in zip(seen, evaluation.looks, strict=True):
        assert found["look_change"] == look.change
        assert found["look_beside_reference"] == look.beside_reference
        assert found["observed_looked"] == 1.0
        assert np.sign(found["observed_look_change"]) == np.sign(look.change)
    whole = make(small_digits)
    whole.evaluate([evaluator.evaluations[0].allocation])
    assert same(whole.evaluate([evaluation.allocation])[0], evaluation)
    assert evaluator.remaining == 6
    assert evaluation.train_s > 0


def test_looks_are_paired_with_all_8_and_add_up(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits)
    env = make_env(small_digits, evaluator)
    eight = evaluator.evaluations[0]
    assert [look.beside_reference for look in eight.looks] == [0.0] * len(env.decisions)
    assert [look.response for look in eight.looks] == [0.0] * len(env.decisions)
    (low,) = evaluator.evaluate([env.space.uniform(2)])
    total = 0.0
    for look, all_8 in zip(low.looks, eight.looks, strict=True):
        assert look.response is not None
        assert look.response_se is not None
        assert look.response_se > 0
        total += look.response
        assert look.beside_reference == pytest.approx(total, abs=1e-6)
        assert look.loss - all_8.loss == pytest.approx(total, abs=1e-6)
    assert total > 0.05


def test_episodes_that_begin_alike_are_seen_alike_and_trained_once(
    small_digits: SmallDigits, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[Allocation] = []
    decide = StagedRetraining.decide

    def count(self: StagedRetraining, allocation: Allocation, layers: Any) -> Any:
        stages.append(allocation)
        return decide(self, allocation, layers)

    evaluator = make(small_digits)
    env = make_env(small_digits, evaluator)
    monkeypatch.setattr(StagedRetraining, "decide", count)
    bits = draw(env, 1)
    other = [*bits[:-1], 2 if bits[-1] != 2 else 3]
    first, second = (play(env, widths) for widths in (bits, other))
    assert len(stages) == len(bits) + 1
    looks = [[found["look_change"] for found in seen] for seen in (first, second)]
    assert looks[0][:-1] == looks[1][:-1]
    assert looks[0][-1] != looks[1][-1]
    alone = make(small_digits)
    alone.evaluate([evaluator.evaluations[0].allocation])
    (found,) = alone.evaluate([second[-1]["evaluation"].allocation])
    assert same(found, second[-1]["evaluation"]), "whatever was shared"


def test_as_many_images_are_trained_on_and_looks_are_charged(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits)
    count, decisions = (
        len(small_digits.task.train),
        len(make_env(small_digits, evaluator).decisions),
    )
    staged = evaluator.evaluations[0].training_samples
    # Looks before the first decision and after each, what the reach is found by, and roundings.
    assert staged == images_seen(QUICK, count) + (2 * decisions + 1) * 120 + decisions * 16


def test_an_episode_that_was_killed_midway_is_what_it_would_have_been(
    small_digits: SmallDigits, store: Store
) -> None:
    whole = make_env(small_digits, make(small_digits))
    bits = draw(whole, 2)
    expected = play(whole, bits)
    killed = make(small_digits, store)
    play(make_env(small_digits, killed), bits[:3])
    resumed = make(small_digits, store, past=killed.evaluations)
    env = make_env(small_digits, resumed)
    assert resumed.evaluations == killed.evaluations
    again = play(env, bits)
    assert same(again[-1]["evaluation"], expected[-1]["evaluation"])
    assert [s["look_change"] for s in again] == [s["look_change"] for s in expected]
    # A later run looks it up, and trains nothing for it.
    later = make(small_digits, store)
    later.evaluate([small_all_8(later)])
    assert same(later.evaluate([again[-1]["evaluation"].allocation])[0], again[-1]["evaluation"])


def test_episodes_of_before_are_played_again_for_nothing(
    small_digits: SmallDigits, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(small_digits)
    bits = draw(make_env(small_digits, first), 5)
    expected = play(make_env(small_digits, first), bits)

    def refuse(self: StagedRetraining, allocation: Allocation, layers: Any) -> Any:
        raise AssertionError("trained again")

    monkeypatch.setattr(StagedRetraining, "decide", refuse)
    resumed = make(small_digits, past=[first.evaluations[0], first.evaluations[-1]])
    again = play(make_env(small_digits, resumed), bits)
    assert [s["look_change"] for s in again] == [s["look_change"] for s in expected]
    assert again[-1]["evaluation"] == expected[-1]["evaluation"]


def small_all_8(evaluator: Evaluator) -> Allocation:
    return Allocation.uniform(evaluator.network.layers, 8)


def test_a_training_that_does_not_stay_finite_ends_at_its_start(small_digits: SmallDigits) -> None:
    broken = make(small_digits, learning_rate=1e30)
    bits = Allocation.uniform(broken.network.layers, 4)
    (found,) = broken.evaluate([bits])
    assert not found.error
    assert found.retraining is not None
    assert found.retraining.kept == "start"
    assert found.looks == ()
    start = make(small_digits, steps=0)
    assert start.evaluate([bits])[0].loss == found.loss
    env = make_env(small_digits, broken)
    seen = play(env, draw(env, 3))
    assert {found["look_change"] for found in seen} == {None}
    assert {found["observed_looked"] for found in seen} == {0.0}


def test_repeats_have_another_order(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits)
    env = make_env(small_digits, evaluator)
    allocation = env.space.uniform(3)
    (first,) = evaluator.evaluate([allocation])
    (again,) = evaluator.evaluate([allocation], repeat=1)
    assert first.looks != again.looks
    assert len(again.looks) == len(first.looks)


def test_no_look_is_taken_when_the_limit_is_used_up(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits, limit=1)
    env = make_env(small_digits, evaluator)
    env.reset()
    with pytest.raises(EvaluationLimitError):
        env.step(np.int64(0))


def test_records_have_looks_and_those_of_before_have_none(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits)
    make_env(small_digits, evaluator)
    (evaluation,) = evaluator.evaluate([Allocation.uniform(evaluator.network.layers, 2)])
    document = json.loads(json.dumps(to_plain(evaluation), allow_nan=False))
    assert Evaluation.from_dict(document) == evaluation
    del document["looks"]
    assert Evaluation.from_dict(document) == replace(evaluation, looks=())


def test_with_retraining_at_the_end_nothing_is_shown(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits)
    plain = Evaluator(
        small_digits.network.clone(),
        small_digits.device,
        small_digits.task.train,
        small_digits.task.search,
        replace(config(), retrain="end"),
        seed=0,
        limit=4,
    )
    assert plain.begin_episode() is None
    env = make_env(small_digits, plain)
    seen = play(env, draw(env, 4))
    assert seen[-1]["evaluation"].looks == ()
    assert {found["look_change"] for found in seen} == {None}
    assert {found["observed_looked"] for found in seen} == {0.0}
    assert evaluator.begin_episode() is not None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"weights": "shared"}, "expected env.weights: reset with during, found shared"),
        (
            {"finetune": replace(QUICK, held_back_images=0)},
            "expected env.finetune.held_back_images above 0 with during, found 0",
        ),
    ],
)
def test_what_cannot_be_looked_at_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TaskError, match=sentence):
        EnvConfig(retrain="during", **changes)


def test_a_network_that_is_not_finite_is_an_error(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits)
    for value in evaluator._retrainer.basis.checkpoint.parameters():
        value.data.fill_(float("nan"))
    with pytest.raises(TrainingError):
        evaluator.look([2])
    assert evaluator.evaluate([small_all_8(evaluator)])[0].error
