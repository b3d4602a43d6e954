"""Rows of the committed tables, retrained again: whoever makes a table anew gets this one."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.settings.run_config import RunConfig
from experiments.tabulate.walk import Subject, walk
from experiments.terminal.progress import LiveProgress
from experiments.truth.facts import facts_of
from experiments.truth.row import ALL_8
from experiments.truth.world import open_world
from hardware.store import Store

_TABLES = Path(__file__).parents[3] / "docs" / "results" / "truth"
_ROWS = 50
_SEED = 17
_FEW = 3.5
"""Standard errors that a mean of fifty differences may be away from none."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(path.stem for path in _TABLES.glob("*.npz")))
def test_fifty_rows_are_what_they_were_within_their_noise(name: str, tmp_path: Path) -> None:
    """Another CPU rounds otherwise, and after some steps that is another seed."""
    with Store(tmp_path / "store.sqlite") as store, LiveProgress(quiet=True) as progress:
        world = open_world(_TABLES / f"{name}.npz", RunConfig(), store, progress)
        table, setup = world.table, world.setup
        search = setup.task.search.pick(torch.arange(table.header.subject.images))
        subject = Subject(
            subspace=table.subspace,
            basis=setup.retrainer(setup.config.env.finetune).basis,
            search=search,
            objective=setup.task.objective,
            run_seed=setup.config.seed,
        )
        some = np.random.default_rng(_SEED).choice(len(table.subspace), _ROWS, replace=False)
        differences = []
        for seed, numbers in zip(table.seeds_of_all[:2], np.split(some, 2), strict=True):
            for row in walk(subject, sorted(map(int, numbers)), seed):
                if row.number != ALL_8:
                    before = {int(table.seed[at]): at for at in table.rows_of[row.number]}[seed]
                    differences.append(100 * (row.score - float(table.score[before])))
    noise = math.sqrt(2) * facts_of(table).noise
    assert len(differences) == _ROWS
    assert abs(np.mean(differences)) < _FEW * noise / math.sqrt(_ROWS)
    assert float(np.std(differences)) < 1.5 * noise
