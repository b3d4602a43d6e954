"""Looks of tables: those of the shown row alone, and those of a run that retrains in stages."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.bayes.config import BayesConfig
from env.evaluating.evaluator import Evaluator
from env.tasks.task import Split
from experiments.settings.run_config import RunConfig
from experiments.truth.contest import Match, play
from experiments.truth.entrant import entrant_of
from experiments.truth.evaluator import TruthEvaluator
from experiments.truth.row import ALL_8
from experiments.truth.row_file import read_rows
from experiments.truth.world import TruthWorld
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from quant.allocation import Allocation


def test_a_run_that_retrains_in_stages_is_the_row_to_the_bit(
    world: TruthWorld, tabulated: Path
) -> None:
    rows = read_rows([tabulated / "rows.jsonl"]).rows
    setup, images = world.setup, world.table.header.subject.images
    split = setup.task.search
    evaluator = Evaluator(
        setup.network.clone(),
        SimulatedDevice(ProtocolConfig()),
        setup.task.train,
        Split(images=split.images[:images], labels=split.labels[:images]),
        replace(setup.config.env, retrain="during"),
        seed=setup.config.seed,
        limit=9,
        objective=setup.task.objective,
    )
    space, subspace = world.table.subspace.space, world.table.subspace
    everything = [space.allocation(subspace.bits(number)) for number in range(len(subspace))]
    for number, allocation in enumerate([Allocation.uniform(space.layers, 8), *everything], ALL_8):
        (found,) = evaluator.evaluate([allocation])
        row = rows[number, 0]
        assert found.score == row.score
        assert found.loss == row.loss
        assert found.kept == row.kept
        assert [np.float32(look.loss) for look in found.looks] == pytest.approx(
            [np.float32(look) for look in row.looks], rel=1e-6
        )
    repeated = evaluator.evaluate([everything[0]], repeat=1)[0]
    assert (repeated.score, repeated.loss) == (rows[0, 1].score, rows[0, 1].loss)


def test_the_looks_of_an_evaluation_are_those_of_its_row(world: TruthWorld) -> None:
    table, space = world.table, world.table.subspace.space
    for seed in range(4):
        evaluator = TruthEvaluator(table, seed=seed, limit=4)
        eight, low = evaluator.evaluate(
            [Allocation.uniform(space.layers, 8), space.allocation((2, 4))]
        )
        row = evaluator.order(1)[0]
        reference = next(r for r in table.rows_of[ALL_8] if table.seed[r] == table.seed[row])
        assert [look.loss for look in low.looks] == table.looks[row].tolist()
        expected = table.looks[row] - table.looks[reference]
        assert [look.beside_reference for look in low.looks] == expected.tolist()
        assert [look.response for look in low.looks] == np.diff(expected, prepend=0.0).tolist()
        assert low.looks[0].change is None
        assert [look.response for look in eight.looks] == [0.0, 0.0]


def test_no_look_of_another_row_can_be_seen(world: TruthWorld) -> None:
    """Whatever the rows that a run does not see hold, its evaluations are the same."""
    space = world.table.subspace.space
    shown = TruthEvaluator(world.table, seed=3, limit=4)
    allocation = space.allocation((2, 4))
    (found,) = shown.evaluate([allocation])
    row = shown.order(1)[0]
    seen = [row, *world.table.rows_of[ALL_8]]
    looks = np.full_like(world.table.looks, 7.0)
    looks[seen] = world.table.looks[seen]
    blind = TruthEvaluator(replace(world.table, looks=looks), seed=3, limit=4)
    assert blind.evaluate([allocation]) == [found]


def test_looks_are_an_ablation_of_a_method(world: TruthWorld) -> None:
    match = Match(table="digits", budget=0.6, method="bayes+looks", evaluations=4, seed=0)
    outcome = play(match, world)
    assert outcome == play(match, world)
    assert outcome.used == 4
    config = RunConfig()
    assert entrant_of("bayes+looks").settings(config) == BayesConfig(looks=True)
    assert entrant_of("bayes").settings(config) == BayesConfig(looks=False)
