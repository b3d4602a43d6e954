"""A run that retrains during its episodes: looks everywhere, and on from the middle of one."""

import json
from pathlib import Path
from typing import Any

import pytest

from env.evaluating.episode import RealEpisode
from env.evaluating.evaluation import Evaluation
from experiments import run as run_module
from experiments.record.curves import read_curves
from experiments.record.run_record import RunRecord
from experiments.terminal.exit_codes import DONE, INTERRUPTED, USER_MISTAKE
from quant.retraining.staged import StagedRetraining

LIMIT = 9
CONFIG = f"""
evaluations: {LIMIT}
quiet: true
target: {{runner: simulated}}
protocol: {{warmups: 0, repeats: 5}}
env: {{retrain: during, bit_choices: [2, 4, 8], calibration_images: 64,
      finetune: {{steps: 9, compensation_images: 16, held_back_images: 50, scale_images: 0,
                 range_test: false}}}}
ppo: {{policy: run, posterior: false, race: 0,
      warm_up_episodes: 64, practice_episodes: 16, final_evaluations: 2, rollout_episodes: 16}}
bayes: {{looks: true}}
"""
SECONDS = ("train_s", "build_s", "measure_s", "cached")


def arguments(folder: Path, method: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    file = folder / "small.yaml"
    file.write_text(CONFIG + f"method: {method}\n")
    return ["--config", str(file), "--output", str(folder)]


def rows(output: Path) -> list[dict[str, Any]]:
    text = (output / "latest" / "evaluations.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def timeless(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in SECONDS} for row in found]


@pytest.mark.usefixtures("heeds_interrupts")
def test_ppo_goes_on_from_the_middle_of_a_real_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    look = RealEpisode.look

    def stop_in_the_second(self: RealEpisode, bits: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > 1 and len(bits) == 3 and len(rows(tmp_path)) > 5:
            raise KeyboardInterrupt
        return look(self, bits)

    with monkeypatch.context() as patch:
        patch.setattr(RealEpisode, "look", stop_in_the_second)
        assert run_module.main(arguments(tmp_path, "ppo")) == INTERRUPTED
    before = rows(tmp_path)
    folder = (tmp_path / "latest").resolve()
    assert run_module.main(["--resume", str(folder)]) == DONE
    after = rows(tmp_path)
    assert after[: len(before)] == before
    assert len([row for row in after if row["proposer"] != "table"]) == LIMIT
    assert {len(row["looks"]) for row in after} == {len(after[0]["looks"])}
    assert any(row["proposer"] == "ppo" for row in after)
    curves = read_curves(folder / "tb")
    assert list(curves["looks/beside_reference_0"].steps) == list(range(1, len(after) + 1))
    assert "looks/change_2" in curves
    read: tuple[Evaluation, ...] = RunRecord.open(folder).evaluations
    assert all(look.response is not None for evaluation in read for look in evaluation.looks)


@pytest.mark.parametrize("method", ["random", pytest.param("bayes", marks=pytest.mark.slow)])
def test_a_search_goes_on_bit_identically(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run_module.main(arguments(whole, method)) == DONE
    decide = StagedRetraining.decide
    calls = 0

    def stop(self: StagedRetraining, allocation: Any, layers: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 45:
            raise KeyboardInterrupt
        return decide(self, allocation, layers)

    with monkeypatch.context() as patch:
        patch.setattr(StagedRetraining, "decide", stop)
        assert run_module.main(arguments(stopped, method)) == INTERRUPTED
    assert 1 < len(rows(stopped)) < LIMIT
    assert run_module.main(["--resume", str((stopped / "latest").resolve())]) == DONE
    assert timeless(rows(stopped)) == timeless(rows(whole))


def test_shared_weights_are_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*arguments(tmp_path, "random"), "--env.weights", "shared"]
    assert run_module.main(flags) == USER_MISTAKE
    assert "expected env.weights: reset with during, found shared" in capsys.readouterr().err
