"""The table of a tiny network, filled, gone on with, and judged."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from env.evaluating.stored_accuracies import code_digest
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.terminal.progress import LiveProgress
from tests.tools.retraining_table.test_cells import cell
from tests.tools.retraining_table.tiny import SUBJECT
from tools.retraining_table.cells import Cells
from tools.retraining_table.markdown import table_markdown
from tools.retraining_table.measuring import Measuring
from tools.retraining_table.table import NetworkRows, paired_change, rows_of
from tools.retraining_table.trials import Trials, hits
from tools.retraining_table.ways import COMPENSATED, NEAREST, OURS, RIVALS, ways

BITS = (8, 2)


@pytest.fixture(scope="module")
def setup() -> NetworkSetup:
    with LiveProgress(quiet=True) as progress:
        return set_up_network(SUBJECT.config, progress)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("table") / "table.jsonl"


def _rows(setup: NetworkSetup, file: Path) -> tuple[NetworkRows, list[str]]:
    said: list[str] = []
    measuring = Measuring(
        SUBJECT.name,
        setup,
        Cells(file, code_digest()),
        seeds=(0, 1),
        search_images=100,
        commit="here",
        say=said.append,
    )
    return rows_of(SUBJECT, measuring, BITS), said


@pytest.fixture(scope="module")
def filled(setup: NetworkSetup, file: Path) -> tuple[NetworkRows, list[str]]:
    return _rows(setup, file)


@pytest.fixture(scope="module")
def network(filled: tuple[NetworkRows, list[str]]) -> NetworkRows:
    return filled[0]


def test_every_way_is_there_below_8_bits(network: NetworkRows) -> None:
    assert [row.bits for row in network.rows] == list(BITS)
    assert set(network.rows[0].reached) == {NEAREST, COMPENSATED, OURS}
    assert set(network.rows[1].reached) == {way.name for way in ways(SUBJECT.rival_batch)}
    assert network.float_accuracy > 85
    assert network.rows[0].reached[OURS].accuracy > network.float_accuracy - 3
    for row in network.rows:
        assert len(row.reached[OURS].each) == 2
        assert len(row.reached[COMPENSATED].each) == 1
        assert all(found.failed == 0 for found in row.reached.values())


def test_rates_are_chosen_on_the_search_split_and_only_the_chosen_is_tested(
    filled: tuple[NetworkRows, list[str]],
) -> None:
    network, said = filled
    descent = network.rows[1].reached["descent"]
    by_rate: dict[float, list[float]] = {}
    for line in said:
        if ", descent at " in line and "search split" in line:
            rate = float(line.split(" at ")[1].split(",")[0])
            by_rate.setdefault(rate, []).append(float(line.split(": ")[1].split(" %")[0]))
    assert len(by_rate) == 5
    means = {rate: sum(found) / len(found) for rate, found in by_rate.items()}
    assert descent.search == pytest.approx(max(means.values()))
    assert descent.config.learning_rate is not None
    assert means[descent.config.learning_rate] == max(means.values())
    tested = [line for line in said if ", descent at " in line and "test split" in line]
    assert len(tested) == 2  # seeds
    assert all(f" at {descent.config.learning_rate:g}," in line for line in tested)


def test_it_is_judged_by_the_best_rival_and_by_the_network_before(network: NetworkRows) -> None:
    eight, two = network.rows
    assert (eight.rival, eight.behind) == (None, -eight.change.mean)
    assert eight.change.mean == pytest.approx(
        eight.reached[OURS].accuracy - eight.reached[COMPENSATED].accuracy, abs=1e-4
    )
    assert eight.allowed == max(0.3, eight.change.standard_error)
    best = max(two.reached[name].accuracy for name in RIVALS)
    assert two.behind == pytest.approx(best - two.reached[OURS].accuracy)
    for row in network.rows:
        assert row.met == (row.behind <= row.allowed)
    assert network.met == (eight.met and two.met)


def test_a_filled_table_is_not_measured_again(
    setup: NetworkSetup, file: Path, network: NetworkRows
) -> None:
    lines = file.read_text().splitlines()
    again, said = _rows(setup, file)
    assert (again, said) == (network, [])
    # Killed in the middle: the rest is measured, and the table is the same.
    file.write_text("\n".join(lines[: len(lines) // 2]) + "\n")
    resumed, said = _rows(setup, file)
    assert len(said) == len(lines) - len(lines) // 2
    assert resumed == network


def test_a_change_is_paired_by_images() -> None:
    before = torch.tensor([True] * 6 + [False] * 4)
    lost = torch.tensor([False, *[True] * 5, True, *[False] * 3])  # one lost, one won
    won = torch.tensor([True] * 8 + [False] * 2)  # two won
    change = paired_change(cell(hits=before), [cell(hits=lost), cell(hits=won)])
    expected = torch.tensor([-0.5, 0, 0, 0, 0, 0, 1, 0.5, 0, 0])
    assert change.mean == pytest.approx(10.0)
    assert change.standard_error == pytest.approx(100 * float(expected.std()) / 10**0.5)


def test_the_markdown_has_a_row_for_each_width(network: NetworkRows) -> None:
    lines = table_markdown([network]).splitlines()
    assert len(lines) == 2 + len(BITS)
    assert {line.count("|") for line in lines} == {11}
    assert lines[2].startswith(f"| digits ({network.float_accuracy:.2f} % in float) | 8 |")
    ours = network.rows[1].reached[OURS]
    assert f"| {ours.accuracy:.2f} ± {ours.deviation:.2f} | {ours.trained_kept} of 2 |" in lines[3]
    assert lines[3].endswith("| yes |" if network.rows[1].met else "| **no** |")


def test_nearest_leaves_weights_where_they_are(setup: NetworkSetup) -> None:
    by_name = {way.name: way for way in ways(SUBJECT.rival_batch)}
    trials = Trials(setup)
    found = {}
    for name in (NEAREST, COMPENSATED):
        trial = trials.retrained(2, by_name[name].variants[0], 0)
        assert trial.kept is None
        assert trial.network is not None
        found[name] = trial.network.state_dict()
    for name, value in setup.network.state_dict().items():
        assert torch.equal(value, found[NEAREST][name])
    assert any(
        not torch.equal(value, found[COMPENSATED][name]) for name, value in found[NEAREST].items()
    )


def test_a_training_that_runs_away_has_no_image_right(setup: NetworkSetup) -> None:
    trials = Trials(setup)
    config = ways(SUBJECT.rival_batch)[-1].variants[0]
    trial = trials.retrained(2, replace(config, learning_rate=1e30), 0)
    assert trial.network is None
    assert "loss" in trial.error
    assert hits(setup.module, setup.task.test).any()
