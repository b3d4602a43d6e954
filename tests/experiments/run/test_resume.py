"""A run that is stopped or killed goes on where it was, in the same folder."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments import run as run_module
from experiments.record.curves import read_curves
from experiments.terminal.exit_codes import DONE, INTERRUPTED, USER_MISTAKE
from hardware.store import Store

KILLS = 20
LIMIT = 14
CONFIG = f"""
evaluations: {LIMIT}
quiet: true
method: METHOD
target: {{runner: simulated}}
protocol: {{warmups: 0, repeats: 5}}
env: {{weights: shared, bit_choices: [2, 4, 8], calibration_images: 64,
      finetune: {{steps: 4, compensation_images: 32, held_back_images: 50}}}}
ppo: {{policy: run, posterior: false, race: 0,
      warm_up_episodes: 64, practice_episodes: 16, final_evaluations: 2, rollout_episodes: 16}}
amed: {{samples: 24, finetune: {{steps: 2, compensation_images: 32, held_back_images: 50}}}}
qbitopt: {{rounds: 4, finetune: {{steps: 4, compensation_images: 32, held_back_images: 50}}}}
haq: {{warm_up_episodes: 4}}
"""
RunConfigFile = Path


def config_file(folder: Path, method: str = "ppo") -> RunConfigFile:
    file = folder / "small.yaml"
    file.write_text(CONFIG.replace("METHOD", method))
    return file


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.run", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def rows(folder: Path) -> list[dict[str, object]]:
    file = folder / "evaluations.jsonl"
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]


def wait_for_rows(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while len(rows(folder)) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def only_run(output: Path) -> Path:
    return (output / "latest").resolve()


def begin(output: Path, method: str = "ppo") -> tuple[Path, subprocess.Popen[bytes]]:
    process = start("--config", str(config_file(output, method)), "--output", str(output))
    deadline = time.monotonic() + 120
    while not (output / "latest" / "config.yaml").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    return only_run(output), process


def check_complete(folder: Path, output: Path) -> None:
    lines = rows(folder)
    assert [line["index"] for line in lines] == list(range(len(lines)))
    searched = [line for line in lines if line["proposer"] != "table"]
    assert len(searched) == LIMIT
    for name in ("results.json", "results.csv", "pareto.csv", "best_allocation.json"):
        assert (folder / name).stat().st_size > 0
    states = sorted(path.name for path in (folder / "checkpoints").glob("network-*"))
    assert states == [f"network-{len(lines):06d}.safetensors"]
    used = read_curves(folder / "tb")["evaluation/used"]
    assert list(used.steps) == list(range(1, len(lines) + 1))
    with Store(output / "store.sqlite") as store:
        # Each different program was measured once, however often its run was killed.
        assert store.count("measurement") == len({json.dumps(r["allocation"]) for r in lines})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_killed_at_twenty_random_moments_ends_complete(tmp_path: Path) -> None:
    moments = random.Random(2026)
    folder, process = begin(tmp_path)
    finished, kills = 0, 0
    while kills < KILLS:
        # Evaluations come a fraction of a second apart: any moment of the next one or two.
        wait_for_rows(folder, min(finished + moments.choice((0, 1, 1, 2)), LIMIT), process)
        time.sleep(moments.uniform(0.0, 0.6))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        now = len(rows(folder))
        assert now >= finished, "a finished evaluation was lost"
        finished = now
        process = start("--resume", str(folder))
    _, errors = process.communicate(timeout=300)
    assert process.returncode == DONE, errors.decode()
    check_complete(folder, tmp_path)
    log = (folder / "run.log").read_text()
    for index in range(len(rows(folder))):
        assert log.count(f"evaluation {index} by ") <= 1, "an evaluation was paid for twice"


@pytest.mark.usefixtures("heeds_interrupts")
@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGINT]
)
def test_a_stopped_run_says_so_and_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    folder, process = begin(tmp_path)
    wait_for_rows(folder, 3, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert b"Traceback" not in errors
    assert f"--resume {folder}" in errors.decode()
    before = (folder / "evaluations.jsonl").read_bytes()
    assert run_module.main(["--resume", str(folder)]) == DONE
    assert (folder / "evaluations.jsonl").read_bytes().startswith(before)
    check_complete(folder, tmp_path)
    assert len((folder / "command.txt").read_text().splitlines()) == 2


SLOWLY = [
    pytest.param(name, marks=pytest.mark.slow) for name in ("amed", "haq", "nsga2", "qbitopt")
]


@pytest.mark.parametrize("method", ["random", *SLOWLY])
def test_a_search_goes_on_bit_identically(tmp_path: Path, method: str) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for output in (whole, stopped):
        output.mkdir()
    arguments = ["--config", str(config_file(whole, method)), "--output", str(whole)]
    assert run_module.main(arguments) == DONE
    folder, process = begin(stopped, method)
    wait_for_rows(folder, 7, process)
    process.kill()
    process.communicate()
    assert run_module.main(["--resume", str(folder)]) == DONE
    figures = ("allocation", "score", "loss", "beside_reference", "latency_ms", "proposer")
    first, second = rows(only_run(whole)), rows(folder)
    assert [[r[f] for f in figures] for r in first] == [[r[f] for f in figures] for r in second]


def test_a_resumed_run_may_get_more_evaluations_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(config_file(tmp_path, "random")), "--output", str(tmp_path)]
    assert run_module.main([*arguments, "--evaluations", "6"]) == DONE
    folder = only_run(tmp_path)
    already = len(rows(folder))
    assert run_module.main(["--resume", str(folder), "--evaluations", str(LIMIT)]) == DONE
    assert len(rows(folder)) == LIMIT > already
    capsys.readouterr()
    assert run_module.main(["--resume", str(folder), "--seed", "3"]) == USER_MISTAKE
    assert "seed cannot change when a run is resumed" in capsys.readouterr().err
    before = {name: (folder / name).read_bytes() for name in ("config.yaml", "command.txt")}
    assert run_module.main(["--resume", str(folder), "--evaluations", "6"]) == USER_MISTAKE
    assert capsys.readouterr().err.splitlines() == [
        f"error: evaluations: expected at least the {LIMIT} that are made, found 6",
        f"hint: --evaluations {LIMIT} concludes from those, and a larger number adds to them",
    ]
    assert before == {name: (folder / name).read_bytes() for name in before}


def test_a_finished_run_that_is_resumed_says_that_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(config_file(tmp_path, "random")), "--output", str(tmp_path)]
    assert run_module.main([*arguments, "--evaluations", "3"]) == DONE
    folder = only_run(tmp_path)
    before = rows(folder)
    capsys.readouterr()
    assert run_module.main(["--resume", str(folder), "--evaluations", "3"]) == DONE
    told = capsys.readouterr().out.splitlines()
    assert told[0] == (
        "going on after 3 evaluations, which are all that were asked for: more are made with a "
        "larger --evaluations"
    )
    assert rows(folder) == before


def test_a_folder_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, process = begin(tmp_path)
    try:
        wait_for_rows(folder, 1, process)
        assert run_module.main(["--resume", str(folder)]) == USER_MISTAKE
        assert f"the run folder {folder} is in use" in capsys.readouterr().err
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("name", "content"),
    [("evaluations.jsonl", b'{"index": 0}\n'), ("layer_table.json", b"{")],
)
def test_a_damaged_record_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    arguments = ["--config", str(config_file(tmp_path, "uniform")), "--output", str(tmp_path)]
    assert run_module.main(arguments) == DONE
    folder = only_run(tmp_path)
    (folder / name).write_bytes(content)
    capsys.readouterr()
    assert run_module.main(["--resume", str(folder)]) == USER_MISTAKE
    printed = capsys.readouterr().err
    assert str(folder / name) in printed
    assert "damaged" in printed


def test_truncated_weights_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--config", str(config_file(tmp_path, "uniform")), "--output", str(tmp_path)]
    assert run_module.main(arguments) == DONE
    folder = only_run(tmp_path)
    (state,) = (folder / "checkpoints").glob("network-*")
    state.write_bytes(state.read_bytes()[:1000])
    capsys.readouterr()
    assert run_module.main(["--resume", str(folder)]) == USER_MISTAKE
    assert str(state) in capsys.readouterr().err


def test_another_machine_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--config", str(config_file(tmp_path, "uniform")), "--output", str(tmp_path)]
    assert run_module.main(arguments) == DONE
    folder = only_run(tmp_path)
    facts = json.loads((folder / "environment.json").read_text())
    facts["device"]["cpu"] = "another one"
    (folder / "environment.json").write_text(json.dumps(facts))
    assert run_module.main(["--resume", str(folder)]) == USER_MISTAKE
    assert "one run never mixes two machines" in capsys.readouterr().err


def test_a_finished_run_gets_exactly_one_evaluation_more(tmp_path: Path) -> None:
    arguments = ["--config", str(config_file(tmp_path, "random")), "--output", str(tmp_path)]
    tight = ["--budget.latency-ratio", "0.7"]  # all-8 and others become rows of the table alone
    assert run_module.main([*arguments, *tight, "--evaluations", "5"]) == DONE
    folder = only_run(tmp_path)
    before = rows(folder)
    assert run_module.main(["--resume", str(folder), "--evaluations", "6"]) == DONE
    after = rows(folder)
    assert after[: len(before)] == before
    assert len(after) == len(before) + 1
