"""Contests on tables: nothing of the truth leaks into a search, every budget is kept."""

import json
import math
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from env.errors import EvaluationLimitError
from experiments.compare.command import main
from experiments.compare.conditions import committed_in
from experiments.stages.env_sensitivities import search_split_sensitivity
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from experiments.truth.contest import Match, play
from experiments.truth.evaluator import TruthEvaluator
from experiments.truth.facts import facts_of, left_out_lead, prize_of
from experiments.truth.world import TruthWorld
from quant.allocation import Allocation


def test_what_a_run_sees_is_not_what_it_is_judged_by(world: TruthWorld) -> None:
    seen_first = set()
    for seed in range(8):
        evaluator = TruthEvaluator(world.table, seed=seed, limit=4)
        allocation = world.table.subspace.space.allocation((2, 4))
        shown = evaluator.evaluate([allocation])[0]
        hidden = evaluator.hidden(1)
        assert len(hidden) == 1
        row = evaluator.order(1)[0]
        assert hidden == [position for position in world.table.rows_of[1] if position != row]
        assert shown.score == pytest.approx(world.table.hits(row)[::2].mean(), abs=1e-6)
        assert evaluator.evaluate([allocation])[0].score == shown.score
        seen_first.add(row)
    assert len(seen_first) == 2


def test_the_images_that_judge_are_not_those_that_are_shown(world: TruthWorld) -> None:
    right = np.zeros(100, dtype=np.bool_)
    right[::2] = True  # whatever a search does, it sees nothing wrong
    lucky = made_up(world, lambda _: right)
    evaluator = TruthEvaluator(lucky.table, seed=0, limit=4)
    allocation = lucky.table.subspace.space.allocation((2, 4))
    assert evaluator.evaluate([allocation])[0].score == 1.0
    assert lucky.worth["accuracy"].tolist() == [0.0] * len(lucky.table.subspace)


def test_a_repeat_shows_another_row_and_never_the_last(world: TruthWorld) -> None:
    evaluator = TruthEvaluator(world.table, seed=0, limit=9)
    allocation = world.table.subspace.space.allocation((2, 4))
    shown = [evaluator.evaluate([allocation], repeat=repeat)[0] for repeat in range(3)]
    assert [e.repeat for e in shown] == [0, 1, 2]
    assert len({e.score for e in shown}) == 1  # of two rows one is kept for the truth
    assert len(evaluator.hidden(1)) == 1
    evaluator.held_back = 4
    assert evaluator.remaining == 2


def test_evaluations_are_paired_with_all_8_of_their_seed(world: TruthWorld) -> None:
    evaluator = TruthEvaluator(world.table, seed=0, limit=4)
    space = world.table.subspace.space
    eight, low = evaluator.evaluate([Allocation.uniform(space.layers, 8), space.allocation((2, 2))])
    assert eight.beside_reference is not None
    assert eight.beside_reference.score == 0.0
    assert low.beside_reference is not None
    assert low.beside_reference.score_se is not None
    assert low.beside_reference.score_unpaired_se is not None
    assert 0 < low.beside_reference.score_se <= low.beside_reference.score_unpaired_se
    assert evaluator.remaining == 3
    assert low.measurement is not None
    assert low.measurement.source == "simulated"


def free_by_name(evaluator: TruthEvaluator) -> None:
    evaluator.proposer = "table"  # rows of reports are nobody's to pay for elsewhere


def free_by_holding_back(evaluator: TruthEvaluator) -> None:
    evaluator.held_back = -9


def free_by_forgetting(evaluator: TruthEvaluator) -> None:
    evaluator.evaluations.clear()


@pytest.mark.parametrize("cheat", [free_by_name, free_by_holding_back, free_by_forgetting])
def test_no_method_evaluates_for_free_or_unseen(
    world: TruthWorld, cheat: Callable[[TruthEvaluator], None]
) -> None:
    evaluator = TruthEvaluator(world.table, seed=0, limit=3)
    space = world.table.subspace.space
    eight = Allocation.uniform(space.layers, 8)
    evaluator.evaluate([eight])  # the reference costs nothing once
    for asked in (space.allocation((2, 4)), space.allocation((2, 8)), eight):
        evaluator.evaluate([asked])
        cheat(evaluator)
    assert evaluator.remaining == 0
    with pytest.raises(EvaluationLimitError):
        evaluator.evaluate([space.allocation((2, 2))])
    assert len(evaluator.hidden(1)) == 1
    assert evaluator.again == 1


def test_methods_are_shown_no_image_that_judges_them(world: TruthWorld) -> None:
    problem = world.problem(0.6, TruthEvaluator(world.table, seed=0, limit=3))
    judged = world.setup.task.search.images[: world.table.header.subject.images]
    known = {image.numpy().tobytes() for image in judged}
    for shown in (problem.search, problem.train):
        assert not known & {image.numpy().tobytes() for image in shown.images}
    # Nor in what environments show, which is measured on the same images as the search split.
    assert (
        problem.make_env().sensitivities
        == search_split_sensitivity(
            replace(world.setup, task=replace(world.setup.task, search=problem.search)),
            world.store,
            world.progress,
        ).rises
    )


def test_a_run_is_judged_by_seeds_that_it_saw_of_nothing(world: TruthWorld) -> None:
    # Allocations that begin alike share a part of what one seed adds to them.
    table, first = world.table, set()
    for seed in range(8):
        evaluator = TruthEvaluator(table, seed=seed, limit=10)
        for number in range(5):
            allocation = table.subspace.space.allocation(table.subspace.bits(number))
            evaluator.evaluate([allocation])
            evaluator.evaluate([allocation], repeat=1)
        shown = {int(table.seed[row]) for rows in evaluator._shown.values() for row in rows}
        assert len(shown) == 1
        for number in range(6):  # the last was not evaluated
            assert shown.isdisjoint(table.seed[evaluator.hidden(number)].tolist())
        first |= shown
    assert first == {0, 1}


@pytest.mark.parametrize("method", ["uniform", "random", "mckp", "hawq", "nsga2", "bayes"])
@pytest.mark.parametrize("evaluations", [0, 2])
def test_answers_are_inside_the_budget(world: TruthWorld, method: str, evaluations: int) -> None:
    for budget in (0.05, 0.6):
        match = Match(table="digits", budget=budget, method=method, evaluations=evaluations, seed=1)
        outcome = play(match, world)
        number = world.table.subspace.number(outcome.answer)
        assert world.table.predicted_ms[number] <= world.table.limit_ms(budget)
        assert outcome.used <= evaluations
        assert play(match, world) == outcome
        assert not outcome.fell_back or (method == "uniform" and not evaluations)


def test_the_best_inside_has_no_regret_but_its_noise(world: TruthWorld) -> None:
    evaluator = TruthEvaluator(world.table, seed=0, limit=1)
    noise = facts_of(world.table).noise
    none, lost = (
        world.regret(0.6, number, evaluator) for number in (world.best(0.6), world.fastest())
    )
    assert none["accuracy"] == 0.0  # valued by the same rows as itself
    assert lost["accuracy"] > 1.0  # 2 bits everywhere
    assert lost["log_loss"] > 0.01
    # Its reward is paid for the same accuracy, and a little for its speed.
    speed = lost["accuracy"] - lost["reward"]
    assert speed == pytest.approx(none["accuracy"] - none["reward"], abs=6)
    assert prize_of(world, 0.6, noise).inside < 6


def made_up(
    world: TruthWorld, hits: Callable[[int], npt.NDArray[np.bool_]], rows: int = 2
) -> TruthWorld:
    """Return a world of as many rows of each allocation with these images right."""
    table = world.table
    numbers = [n for n in range(-1, len(table.subspace)) for _ in range(rows)]
    right = np.array([hits(place) for place in range(len(numbers))])
    made = replace(
        table,
        number=np.array(numbers),
        seed=np.tile(np.arange(rows), len(table.subspace) + 1),
        score=right.mean(1),
        right=np.packbits(right, axis=1),
        loss=np.resize(table.loss, len(numbers)),
        loss_se=np.resize(table.loss_se, len(numbers)),
        kept=np.resize(table.kept, len(numbers)),
        looks=np.resize(table.looks, (len(numbers), table.looks.shape[1])),
    )
    return replace(world, table=made)


def test_no_prize_is_seen_where_all_allocations_are_alike(world: TruthWorld) -> None:
    # Each is right on other images by chance: the best of them is lucky, and nothing can be won.
    draw, leads, lucky = np.random.default_rng(0), [], []
    for _ in range(100):
        table = made_up(world, lambda _: draw.random(100) < 0.8).table
        leads.append(left_out_lead(table, np.arange(6), np.arange(1)))
        lucky.append(100 * float(table.mean_scores.max() - table.mean_scores[0]))
    assert abs(np.mean(leads)) < 1.5
    assert np.mean(lucky) > 2.5


def test_a_budget_is_refined_where_its_own_best_have_many_rows(world: TruthWorld) -> None:
    many = made_up(world, lambda place: np.arange(100) < 50 + place // 8, rows=8)
    assert many.refined(0.9)
    table = many.table
    # The best loses its rows: those with many are then others, and no best to be judged by.
    best = many.best(0.9)
    kept = (table.number != best) | (table.seed < 2)
    names = ("number", "seed", "score", "loss", "loss_se", "kept", "looks", "right")
    few = replace(many, table=replace(table, **{n: getattr(table, n)[kept] for n in names}))
    assert not few.refined(0.9)
    assert few.best(0.9) == best
    assert not prize_of(few, 0.9, 0.0).refined


def test_facts_say_what_seeds_leave_alone_and_what_they_share(world: TruthWorld) -> None:
    same = made_up(world, lambda _: np.arange(100) < 50)
    rows = len(same.table.number)
    facts = facts_of(replace(same.table, loss=np.full(rows, 0.5)))
    assert facts.equal == 1.0
    assert math.isnan(facts.shared)
    added: npt.NDArray[np.float64]
    # A seed adds the same to all that begin with 2, and another amount to those that begin with 8.
    added = np.where(same.table.number < 3, 0.1, -0.1) * same.table.seed
    facts = facts_of(replace(same.table, loss=0.5 + added))
    assert facts.equal == 0.0
    assert facts.shared == pytest.approx(1.0)


def test_what_methods_do_beside_their_evaluations_is_kept(world: TruthWorld) -> None:
    match = Match(table="digits", budget=0.6, method="clado", evaluations=0, seed=1)
    outcome = play(match, world)
    assert outcome.training_samples > 0  # forward passes of pairs
    table = world.table
    rows = np.array([table.judged[table.rows_of[n]] for n in range(len(table.subspace))])
    noise = 100 * rows.var(1, ddof=1).mean() ** 0.5
    assert outcome.error["accuracy"] == pytest.approx(noise / 2**0.5)
    assert play(replace(match, method="random"), world).training_samples == 0


def test_the_command_writes_regrets_with_intervals(
    tabulated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tabulated / "cache"))
    flags = ["--truth", str(tabulated / "digits.npz"), "--methods", "mckp", "random", "--quiet"]
    flags += ["--budgets", "0.3", "--seeds", "4", "--at", "0", "2", "--output", str(tmp_path)]
    assert main([*flags, "--json", str(tmp_path / "methods.json")]) == DONE
    shown = capsys.readouterr().out
    assert "a sum over decisions explains" in shown
    document = json.loads((tmp_path / "methods.json").read_text())
    cell = document["regret"]["digits"]["0.3"]["mckp"]["2"]
    assert cell["low"] <= cell["iqm"] <= cell["high"]
    assert cell["seeds"] == 4
    assert cell["answers"] <= 2  # a method without a seed has as many as there are noises
    assert document["used"]["mckp"]["0"]["used"] == 0
    before = (tmp_path / "outcomes.jsonl").read_text()
    assert main(flags) == DONE  # nothing is played twice
    assert (tmp_path / "outcomes.jsonl").read_text() == before
    assert main([*flags[:2], "--methods", "nobody"]) == USER_MISTAKE
    # Outcomes of other settings, code or tables are never mixed with these.
    assert main([*flags, "--mckp.solver", "exact"]) == USER_MISTAKE
    assert "expected the settings that the outcomes" in capsys.readouterr().err
    conditions = tmp_path / "conditions.json"
    assert document["conditions"] == json.loads(conditions.read_text())
    for key in ("code", "tables"):
        harmed = {**document["conditions"], key: "x" if key == "code" else {"digits": "x"}}
        conditions.write_text(json.dumps(harmed))
        assert main(flags) == USER_MISTAKE
        assert f"expected the {key} that the outcomes" in capsys.readouterr().err


def test_a_claim_that_no_commit_has_is_none(tmp_path: Path) -> None:
    file = tmp_path / "claim.yaml"
    file.write_text("seeds: 1")
    assert committed_in(file) == ""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@b.c"]
    for rest in (["init", "-q"], ["add", "claim.yaml"], ["commit", "-qm", "Claim"]):
        assert committed_in(file) == ""
        subprocess.run([*git, *rest], check=True)
    assert len(committed_in(file)) == 40
    file.write_text("seeds: 2")
    assert committed_in(file) == ""
