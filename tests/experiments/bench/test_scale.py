"""What a search would cost past this machine: counted by hand, and simulated from a run's times."""

import json
from pathlib import Path

import pytest

from experiments import run as run_module
from experiments.bench import command as bench
from experiments.bench.scale.simulation import Simulated, Times, simulate
from experiments.terminal.exit_codes import DONE, USER_MISTAKE

_RUN = (
    *("--method", "random", "--evaluations", "6", "--target.runner", "simulated", "--quiet"),
    *("--env.bit-choices", "2", "8", "--env.finetune.steps", "1", "--task.epochs", "1"),
    *("--env.finetune.compensation-images", "0", "--env.finetune.held-back-images", "50"),
    *("--env.finetune.no-range-test", "--budget.latency-ratio", "0.9"),
)


def constant(
    train_s: float, *, board_s: float = 0.0, driver_s: float = 0.0, result_s: float = 0.0
) -> Times:
    return Times(train_s=(train_s,), result_s=result_s, driver_s=(driver_s,), board_s=(board_s,))


def play(times: Times, workers: int, proposals: int, evaluations: int = 64) -> Simulated:
    return simulate(times, workers=workers, evaluations=evaluations, proposals=proposals, seed=0)


def test_workers_that_never_wait_divide_the_time() -> None:
    one, eight = play(constant(10), 1, 64), play(constant(10), 8, 64)
    assert one.wall_s == pytest.approx(640)
    assert eight.wall_s == pytest.approx(80)
    assert eight.shares["workers"] == pytest.approx(1)
    assert eight.busiest == "workers"


def test_a_method_that_proposes_one_at_a_time_keeps_one_worker_busy() -> None:
    assert play(constant(10), 8, 1).wall_s == pytest.approx(640)
    assert play(constant(10), 8, 4).wall_s == pytest.approx(160)


def test_what_takes_one_at_a_time_is_waited_for() -> None:
    """A board of 5 s behind 64 workers of 10 s: all but the first training is hidden."""
    board = play(constant(10, board_s=5), 64, 64)
    assert board.wall_s == pytest.approx(10 + 64 * 5)
    assert board.busiest == "board"
    assert play(constant(10, driver_s=5), 64, 64).busiest == "driver"
    link = play(constant(10, result_s=5), 64, 64)
    assert link.wall_s == pytest.approx(10 + 64 * 5)
    assert link.busiest == "object store"


def test_equal_seeds_draw_equally() -> None:
    times = Times(train_s=(1.0, 2.0, 5.0), result_s=0.1, driver_s=(0.0,), board_s=(0.5, 1.0))
    first, again = (
        simulate(times, workers=3, evaluations=20, proposals=6, seed=seed) for seed in (4, 4)
    )
    assert first == again
    assert first != simulate(times, workers=3, evaluations=20, proposals=6, seed=5)


def test_a_run_of_this_machine_is_what_times_are_drawn_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert run_module.main([*_RUN, "--output", str(tmp_path)]) == DONE
    file = tmp_path / "scale.json"
    flags = ["--run", str(tmp_path / "latest"), "--images-s", "500", "--search", "40", "--quiet"]
    counted = ["scale", *flags, "--env.finetune.steps", "10", "--env.finetune.batch-size", "10"]
    small = ["--train-images", "1000", "--scored-images", "300", "--at", "1", "4"]
    assert bench.main([*counted, *small, "--simulate", "--json", str(file)]) == DONE
    document = json.loads(file.read_text())
    # 10 steps of 10; 200 held back and 800 fitted to, each before and after; 256 compensated over.
    assert document["images"] == 100 + 2 * (200 + 800) + 256 + 300
    assert document["train_hours"] == pytest.approx(40 * document["images"] / 500 / 3600)
    assert document["measured"] is False
    assert document["samples"] >= 1
    assert [len(found) for found in document["simulated"].values()] == [20, 20]
    shown = " ".join(capsys.readouterr().out.split())
    assert "SIMULATED" in shown
    assert "Computed, not measured" in shown


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ([], "--run: expected the folder of a finished run"),
        (["--at", "0"], "--at, --proposals and --images-s: expected counts, found others"),
        (["--link-mb-s", "0"], "expected more than 0, found 0.0"),
    ],
)
def test_mistakes_are_one_sentence(
    capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    assert bench.main(["scale", *flags]) == USER_MISTAKE
    assert sentence in capsys.readouterr().err
