"""The command: whole comparisons on the digits, small, with simulated times."""

import json
from pathlib import Path

import pytest

from experiments.compare import command as compare_module
from experiments.compare.command import main
from experiments.compare.comparison import Comparison
from experiments.compare.job import run_job
from experiments.compare.plan import Job
from experiments.compare.rows import Row
from experiments.record.environment_facts import git_state
from experiments.terminal.exit_codes import DONE, INTERRUPTED, USER_MISTAKE
from hardware.store import Store
from quant.records.json_form import from_plain

FLAGS = [
    *("--methods", "uniform", "random", "--budgets", "0.35", "0.7", "--seeds", "1"),
    *("--evaluations", "3", "--target.runner", "simulated", "--quiet"),
    *("--env.finetune.compensation-images", "32", "--env.finetune.held-back-images", "50"),
    *("--env.finetune.steps", "2", "--final.steps", "4", "--env.bit-choices", "2", "4", "8"),
]


def test_a_comparison_is_stopped_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, document = tmp_path / "compare", tmp_path / "docs" / "digits.json"
    flags = [*FLAGS, "--output", str(folder)]
    done: list[Job] = []

    def stopped_after_two(job: Job, *rest: object) -> Row:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job)
        return run_job(job, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(compare_module, "run_job", stopped_after_two)
    assert main(flags) == INTERRUPTED
    assert len((folder / "rows.jsonl").read_text().splitlines()) == 2

    again: list[Job] = []

    def counted(job: Job, *rest: object) -> Row:
        again.append(job)
        return run_job(job, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(compare_module, "run_job", counted)
    assert main([*flags, "--json", str(document)]) == DONE
    assert len(again) == 2
    assert not set(again) & set(done)
    assert "simulated" in capsys.readouterr().out
    found = from_plain(Comparison, json.loads(document.read_text()))
    assert found.commit == git_state()
    assert [(row.method, row.budget) for row in found.rows] == [
        *(("uniform", 0.35), ("random", 0.35), ("uniform", 0.7), ("random", 0.7)),
    ]
    assert {row.bits for row in found.uniform} == {8, 4}
    for row in found.rows:
        assert row.answer is not None
        assert row.answer.latency_ms <= 1.02 * row.budget_ms
        assert row.evaluations <= 3
    first, second = found.rows[:2]
    assert first.answer is not None
    assert second.answer is not None
    gained = second.answer.test_score - first.answer.test_score
    assert second.beside["uniform"].score == pytest.approx(gained)
    assert first.beside == {}
    # Random search walks environments, which show the sensitivities; a uniform one makes none.
    shown = sorted(path.parent.name for path in (folder / "jobs").glob("*/sensitivities.json"))
    assert shown == ["random__s0__b35", "random__s0__b70"]
    with Store(folder / "store.sqlite") as store:
        assert store.count("sensitivity") == 1
    for name in ("fronts", "hypervolume", "cost"):
        assert (document.parent / f"digits-{name}.png").stat().st_size > 1000
        assert (folder / f"comparison-{name}.png").exists()

    monkeypatch.setattr(compare_module, "run_job", stopped_after_two)
    assert main(flags) == DONE  # nothing is left to do

    assert main([*flags, "--final.steps", "5"]) == USER_MISTAKE
    assert "is a comparison with final.steps = 4, found 5" in capsys.readouterr().err
    assert main([*flags, "--evaluations", "4"]) == USER_MISTAKE
    assert "was begun with --evaluations 3, found 4" in capsys.readouterr().err


def test_mistakes_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--methods", "ppoo", "--quiet"]) == USER_MISTAKE
    shown = capsys.readouterr().err
    assert "found 'ppoo'" in shown
    assert "did you mean ppo?" in shown
