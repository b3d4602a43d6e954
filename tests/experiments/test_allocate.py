"""Other budgets, answered from what a run learnt: inside them, and never called measured."""

import json
import shutil
from pathlib import Path

import pytest

from agents.answer_budget import answer_front
from bitalloc.result import Result
from env.decisions.budget import BudgetConfig
from env.errors import BudgetError
from experiments import run as run_module
from experiments.allocate import command as allocate_module
from experiments.allocate.answer import allocate
from experiments.errors import RunFolderError
from experiments.record import files
from experiments.record.run_folder import open_run
from experiments.record.run_record import RunRecord
from experiments.terminal.exit_codes import DONE

CONFIG = """
evaluations: 6
quiet: true
target: {runner: simulated}
protocol: {warmups: 0, repeats: 5}
env: {bit_choices: [2, 4, 8], layers: ["conv1.0=4,8"], calibration_images: 64,
      finetune: {steps: 1, compensation_images: 32, held_back_images: 50}}
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run each whose proposals are a solver's and a policy's, and one whose answer is a score."""
    root = tmp_path_factory.mktemp("allocate")
    (root / "small.yaml").write_text(CONFIG)
    found = {}
    for method in ("bayes", "ppo"):
        flags = ["--config", str(root / "small.yaml"), "--method", method]
        assert run_module.main([*flags, "--output", str(root / method)]) == DONE
        found[method] = (root / method / "latest").resolve()
    found["random"] = root / "random"
    shutil.copytree(found["bayes"], found["random"])
    (found["random"] / files.BELIEFS).unlink()
    return found


@pytest.mark.parametrize("method", ["bayes", "ppo"])
def test_every_budget_is_kept_and_more_of_it_is_no_worse(
    folders: dict[str, Path], method: str
) -> None:
    record = RunRecord.open(folders[method], finished=True)
    beliefs = record.beliefs
    assert beliefs is not None
    assert beliefs.policy == ("shipped" if method == "ppo" else "")
    front = list(answer_front(beliefs))
    for one in front:
        assert one.predicted
        assert one.budget.latency_ms is not None
        assert one.latency_ms <= one.budget.latency_ms * 1.000001
        assert one.latency_ms == pytest.approx(beliefs.latency_ms(one.allocation))
        assert beliefs.space.admits(one.allocation)
    assert front[-1].score >= front[0].score
    halved = allocate(record, BudgetConfig(model_bytes_ratio=0.6))
    assert halved.model_bytes <= 0.6 * beliefs.model_bytes(beliefs.all_8)


def test_the_page_shows_them_as_predicted(folders: dict[str, Path]) -> None:
    record = RunRecord.open(folders["bayes"], finished=True)
    page = (folders["bayes"] / files.REPORT).read_text()
    assert "Other budgets, predicted" in page
    assert "nothing of it was retrained or measured" in page
    for one in record.other_budgets:
        assert str(one.budget).replace("<", "&lt;") in page


def test_what_a_solver_answers_is_the_best_of_all(folders: dict[str, Path]) -> None:
    beliefs = RunRecord.open(folders["bayes"], finished=True).beliefs
    assert beliefs is not None
    for one in answer_front(beliefs):
        for other in answer_front(beliefs):
            if other.latency_ms <= (one.budget.latency_ms or 0.0):
                lost, least = beliefs.losses([other.allocation, one.allocation])
                assert lost >= least - 1e-9


def test_the_command_says_that_it_predicts(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(folders["bayes"])
    assert allocate_module.main([run, "--budget.latency-ratio", "0.7"]) == DONE
    shown = capsys.readouterr().out
    assert "predicted ms" in shown
    assert "nothing was retrained or measured for it" in shown
    assert allocate_module.main([run, "--json"]) == DONE
    front = json.loads(capsys.readouterr().out)
    assert all(one["predicted"] for one in front)
    assert allocate_module.main([run, "--json", "--budget.latency-ratio", "0.7"]) == DONE
    answer = json.loads(capsys.readouterr().out)
    _, config = open_run(folders["bayes"])
    result = Result(folder=folders["bayes"], config=config)
    assert result.allocate(0.7).allocation.to_dict() == answer["allocation"]


def test_what_cannot_be_answered_is_one_sentence(folders: dict[str, Path]) -> None:
    record = RunRecord.open(folders["bayes"], finished=True)
    with pytest.raises(BudgetError, match="no allocation of bits is expected inside latency"):
        allocate(record, BudgetConfig(latency_ratio=0.01))
    with pytest.raises(RunFolderError, match="expected a run whose answer is a model's"):
        allocate(RunRecord.open(folders["random"], finished=True), BudgetConfig(latency_ratio=0.5))
    with pytest.raises(BudgetError, match="expected a limit of time, bytes or energy, found none"):
        allocate(record, BudgetConfig())
    with pytest.raises(BudgetError, match=r"budget\.energy_ratio: the run had no energy meter"):
        allocate(record, BudgetConfig(energy_ratio=0.5))
    with pytest.raises(BudgetError, match=r"budget\.accuracy_drop"):
        allocate(record, BudgetConfig(accuracy_drop=0.01))


def test_damage_is_named(folders: dict[str, Path]) -> None:
    file = folders["bayes"] / files.BELIEFS
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(RunFolderError, match="damaged or of another version"):
            _ = RunRecord.open(folders["bayes"], finished=True).beliefs
    finally:
        file.write_bytes(whole)
