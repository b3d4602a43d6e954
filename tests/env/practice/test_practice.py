"""Practice: marked as such, right where it has learnt, and never sure that fewer bits help."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from env.decisions.space import decision_space
from env.evaluating.episode import RealEpisode
from env.evaluating.evaluation import Evaluation
from env.evaluating.evaluator import Evaluator
from env.evaluating.seen_look import SeenLook
from env.practice.alternating import AlternatingEvaluator
from env.practice.practice import PracticeEvaluator
from env.practice.scales import measured_over_predicted
from env.testing import FormulaEvaluator, formula_sensitivities, formula_table, tied_layers
from quant.allocation import Allocation

LAYERS = tied_layers()
TABLE = formula_table(LAYERS)
SENSITIVITIES = {
    part: rise * (1.0 + len(part[0]) % 3 / 2) / 4
    for part, rise in formula_sensitivities(LAYERS).items()
}
SPACE = decision_space(LAYERS, range(2, 9))
COUNT = len(SPACE.decisions)


def real() -> FormulaEvaluator:
    return FormulaEvaluator(SPACE, TABLE, SENSITIVITIES, scale=0.03, practice=False)


def practice() -> PracticeEvaluator:
    reference = real().evaluate([Allocation.uniform(LAYERS, 8)])[0]
    return PracticeEvaluator(SPACE, TABLE, SENSITIVITIES, reference)


def draw(count: int, seed: int) -> list[Allocation]:
    rng = np.random.default_rng(seed)
    return [SPACE.allocation(rng.integers(2, 9, COUNT).tolist()) for _ in range(count)]


def error_of(model: PracticeEvaluator, allocations: list[Allocation]) -> float:
    truth = real().evaluate(allocations)
    guess = model.evaluate(allocations)
    return float(np.mean([abs(t.score - g.score) for t, g in zip(truth, guess, strict=True)]))


def test_predictions_are_marked_and_cost_nothing_real() -> None:
    allocation = draw(1, 0)[0]
    evaluation = practice().evaluate([allocation])[0]
    assert evaluation.practice
    assert evaluation.index == -1
    assert evaluation.measurement is None
    assert evaluation.latency_ms == TABLE.predict_ms(allocation)


def test_real_evaluations_correct_the_predictions() -> None:
    model, unseen = practice(), draw(200, 1)
    before = error_of(model, unseen)
    for evaluation in real().evaluate(draw(30, 2)):
        model.observe(evaluation)
    after = error_of(model, unseen)
    assert after < before / 2


def test_more_bits_are_never_predicted_to_be_worse() -> None:
    model = practice()
    for evaluation in real().evaluate(draw(10, 3)):
        model.observe(evaluation)
    for evaluation, layer in itertools.product(model.evaluate(draw(20, 4)), LAYERS):
        raised = dict(evaluation.allocation.items)
        raised[layer.name] = replace(raised[layer.name], weight_bits=8)
        higher = model.evaluate([Allocation.of(raised)])[0]
        assert higher.score >= evaluation.score - 1e-12


def test_failed_evaluations_teach_nothing() -> None:
    model, unseen = practice(), draw(20, 5)
    before = error_of(model, unseen)
    for evaluation in real().evaluate(draw(5, 6)):
        model.observe(replace(evaluation, score=0.0, error="does not build", measurement=None))
    assert error_of(model, unseen) == before


def slower(evaluation: Evaluation, factor: float) -> Evaluation:
    measurement = evaluation.measurement
    assert measurement is not None
    values = tuple(value * factor for value in measurement.values_ms)
    return replace(evaluation, measurement=replace(measurement, values_ms=values))


def test_measured_times_scale_the_predicted_ones() -> None:
    model = practice()
    allocation = draw(1, 7)[0]
    for evaluation, factor in zip(real().evaluate(draw(3, 8)), (1.1, 1.2, 9.0), strict=True):
        model.observe(slower(evaluation, factor))
    assert model.scales.latency == pytest.approx(1.2)
    predicted = model.evaluate([allocation])[0].latency_ms
    assert predicted == pytest.approx(1.2 * TABLE.predict_ms(allocation))
    assert measured_over_predicted([], TABLE).latency == 1.0


def test_measured_energies_scale_the_predicted_ones() -> None:
    table = formula_table(LAYERS, energies=True)
    evaluator = FormulaEvaluator(SPACE, table, SENSITIVITIES, scale=0.03, practice=False)
    reference = evaluator.evaluate([Allocation.uniform(LAYERS, 8)])[0]
    model = PracticeEvaluator(SPACE, table, SENSITIVITIES, reference)
    for evaluation, factor in zip(evaluator.evaluate(draw(3, 8)), (1.1, 1.3, 9.0), strict=True):
        measurement = evaluation.measurement
        assert measurement is not None
        assert measurement.energy is not None
        blocks = (factor * measurement.energy.gross_mj,)
        energy = replace(measurement.energy, blocks_mj=blocks)
        model.observe(replace(evaluation, measurement=replace(measurement, energy=energy)))
    assert model.scales.energy == pytest.approx(1.3)
    allocation = draw(1, 7)[0]
    whole = table.predict_mj(allocation)
    assert whole is not None
    assert model.evaluate([allocation])[0].energy_mj == pytest.approx(1.3 * whole)
    assert measured_over_predicted(real().evaluate(draw(2, 8)), TABLE).energy == 1.0, (
        "no meter, nothing to scale"
    )


def limited(limit: int) -> FormulaEvaluator:
    return FormulaEvaluator(SPACE, TABLE, SENSITIVITIES, scale=0.03, practice=False, limit=limit)


def test_real_episodes_come_after_the_warm_up_and_then_at_intervals() -> None:
    evaluator = limited(5)
    alternating = AlternatingEvaluator(
        cast(Evaluator, evaluator), practice(), warm_up_episodes=4, practice_episodes=2, reserve=2
    )
    kinds = []
    for allocation in draw(16, 9):
        kinds.append("p" if alternating.evaluate([allocation])[0].practice else "R")
        if alternating.done:
            break
    assert "".join(kinds) == "ppppRppRppRpp"
    assert evaluator.remaining == 2


def test_an_allocation_is_not_paid_for_twice() -> None:
    evaluator = limited(5)
    alternating = AlternatingEvaluator(
        cast(Evaluator, evaluator), practice(), warm_up_episodes=0, practice_episodes=0, reserve=0
    )
    first, second = draw(2, 10)
    kinds = [alternating.evaluate([a])[0].practice for a in (first, first, first, second)]
    assert kinds == [False, True, True, False]
    assert list(alternating.practised) == [first]


class WatchedFormula(FormulaEvaluator):
    """Shows looks of nothing."""

    def look(self, bits: Sequence[int]) -> SeenLook:
        return SeenLook(loss=float(len(bits)), change=1.0, beside_reference=1.0)

    def begin_episode(self) -> RealEpisode:  # type: ignore[override]
        return RealEpisode(self)


def watched(limit: int, **settings: int) -> tuple[WatchedFormula, AlternatingEvaluator]:
    evaluator = WatchedFormula(SPACE, TABLE, SENSITIVITIES, scale=0.03, practice=False, limit=limit)
    return evaluator, AlternatingEvaluator(cast(Evaluator, evaluator), practice(), **settings)


def test_watched_episodes_are_real_from_their_first_decision() -> None:
    evaluator, alternating = watched(5, warm_up_episodes=4, practice_episodes=2, reserve=2)
    kinds = []
    for allocation in draw(16, 9):
        episode = alternating.begin_episode()
        look = episode.look(SPACE.bits_of(allocation)[:1])
        assert look is not None
        evaluation = episode.finish(allocation)
        kinds.append("p" if evaluation.practice else "R")
        assert evaluation.practice == (look.loss != 1.0)
        if alternating.done:
            break
    assert "".join(kinds) == "ppppRppRppRpp"
    assert evaluator.remaining == 2


def test_watched_episodes_side_by_side_keep_the_limit() -> None:
    evaluator, alternating = watched(3, warm_up_episodes=0, practice_episodes=0, reserve=0)
    together = [alternating.begin_episode() for _ in range(5)]
    assert not alternating.done
    kinds = [one.finish(a).practice for one, a in zip(together, draw(5, 11), strict=True)]
    assert kinds == [False, False, False, True, True]
    assert alternating.done
    assert evaluator.remaining == 0


def test_an_episode_that_is_abandoned_or_ends_where_one_was_stays_due() -> None:
    evaluator, alternating = watched(4, warm_up_episodes=0, practice_episodes=3, reserve=0)
    (allocation,) = draw(1, 12)
    assert not alternating.begin_episode().finish(allocation).practice
    alternating.practise_first(0)
    for _ in range(3):
        alternating.begin_episode().finish(allocation)
    alternating.begin_episode().abandon()
    assert alternating.begin_episode().finish(allocation).practice  # it was evaluated before
    assert evaluator.remaining == 3
    assert not alternating.begin_episode().finish(draw(1, 13)[0]).practice
    assert evaluator.remaining == 2


def test_practice_shows_what_it_expects_and_learns_how_losses_rise() -> None:
    model, (allocation,) = practice(), draw(1, 14)
    bits = SPACE.bits_of(allocation)
    looks = [model.expected_look(bits[: step + 1]) for step in range(len(bits))]
    total = sum(look.change or 0.0 for look in looks)
    assert looks[-1].beside_reference == pytest.approx(total)
    assert total > 0
    expected = looks[-1].beside_reference
    assert expected is not None
    twice = tuple(replace(look, beside_reference=20 * expected) for look in looks)
    (evaluation,) = real().evaluate([allocation])
    model.observe(replace(evaluation, looks=twice, index=1))
    later = model.expected_look(bits).beside_reference
    assert later is not None
    assert later > 2 * expected
