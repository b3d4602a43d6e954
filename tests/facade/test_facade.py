"""import bitalloc: a search, an environment and a layer table in one line each, for real."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

import bitalloc
from env.evaluating.env_config import EnvConfig
from experiments.run import main as run_main
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from hardware.measuring.protocol import ProtocolConfig
from quant.retraining.finetune_config import FinetuneConfig

SMALL: dict[str, Any] = {
    "quiet": True,
    "tune": False,
    "evaluations": 4,
    "protocol": ProtocolConfig(repeats=5, warmups=0, min_repeat_ms=0.5),
    "env": EnvConfig(
        bit_choices=(2, 4, 8),
        calibration_images=64,
        finetune=FinetuneConfig(steps=2, compensation_images=32, held_back_images=50),
    ),
    "final": FinetuneConfig(steps=3),
}


@pytest.fixture
def data(digits: Any) -> dict[str, Any]:
    return {
        "train": (digits.train_images, digits.train_labels),
        "search": (digits.test_images[:300], digits.test_labels[:300]),
        "test": (digits.test_images[300:], digits.test_labels[300:]),
    }


def test_a_module_and_tensors_become_bits_and_a_table(
    trained_net: nn.Module, data: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: value.clone() for name, value in trained_net.state_dict().items()}
    given = {"device": "simulated", "budget": 0.8, "method": "uniform", **SMALL}
    result = bitalloc.search(trained_net, data, output=tmp_path, **given)
    assert all(torch.equal(value, before[name]) for name, value in trained_net.state_dict().items())
    assert {name for name, _ in result.allocation.items} == {
        name for name, _ in bitalloc.Allocation.from_dict(result.allocation.to_dict()).items
    }
    assert [row["name"] for row in result.table][-1] == "best found"
    assert result.table[-1]["inside_budget"]
    assert result.report.exists()
    page = result._repr_html_()
    assert "simulated" in page
    assert "best found" in page
    assert repr(result) == f"Result(folder={result.folder!r})"
    capsys.readouterr()
    rows = result.evaluate()
    assert "accuracy on the test split" in capsys.readouterr().out
    assert [row.name for row in rows][-1] == "best found"
    with pytest.raises(bitalloc.BitAllocError, match="whose times are simulated"):
        result.export(tmp_path / "bundle")


def test_a_search_that_was_interrupted_is_called_again(
    trained_net: nn.Module,
    data: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What lives in a program cannot be resumed by a command, which would be refused."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    given = {"device": "simulated", "budget": 0.8, "method": "uniform", **SMALL}
    with monkeypatch.context() as patched:
        patched.setattr("experiments.run.conclude", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bitalloc.search(trained_net, data, output=tmp_path, **given)
    assert "go on with: the same call again" in capsys.readouterr().err
    monkeypatch.setattr("quant.retraining.retrainer.Retrainer.retrain", interrupted)
    result = bitalloc.search(trained_net, data, output=tmp_path, **given)
    assert result.table[-1]["inside_budget"]


def test_what_was_given_is_gone_in_another_process_and_said(
    trained_net: nn.Module, data: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = bitalloc.search(
        trained_net, data, device="simulated", method="uniform", output=tmp_path, **SMALL
    )
    bitalloc.given._kept.clear()
    assert run_main(["--resume", str(result.folder), "--evaluations", "6"]) == USER_MISTAKE
    assert "was given from Python" in capsys.readouterr().err


@pytest.fixture(scope="module")
def env() -> Iterator[Any]:
    made = bitalloc.make_env(**SMALL)
    yield made
    made.close()


def test_an_environment_in_one_line_steps_to_its_end(env: Any) -> None:
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    ended, steps = False, 0
    while not ended:
        (legal,) = np.nonzero(env.action_masks())
        observation, reward, ended, truncated, info = env.step(legal[-1])
        steps += 1
        assert not truncated
    assert steps > 4
    assert info["latency_ms"] > 0
    assert isinstance(reward, float)


def test_gymnasium_makes_it_by_its_name() -> None:
    made = gymnasium.make("BitAlloc-v0", **SMALL)
    try:
        made.reset(seed=0)
        assert made.unwrapped.action_masks().any()  # type: ignore[attr-defined]
    finally:
        made.close()


def test_a_layer_table_of_a_module_needs_an_example_alone() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    table = bitalloc.layer_table(
        module, torch.randn(8, 1, 8, 8), device="simulated", bits=(4, 8), equal_bits=True
    )
    assert set(table.times_us) == {"0", "3"}
    assert table.source == "simulated"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"device": "toaster"}, "device: expected one of local, simulated or a TargetConfig"),
        ({"budget": "half"}, "budget: expected a share of all-8-bit's latency"),
        (
            {"evaluatons": 3},
            "expected settings of a run .* found 'evaluatons'.*did you mean evaluations",
        ),
        ({"method": "magic"}, "method: expected one of"),
        ({"network": 7}, "network: expected a torch.nn.Module"),
        ({"data": lambda: None}, "data: expected arrays, tensors or data sets"),
    ],
)
def test_mistakes_are_the_projects_own_errors(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(bitalloc.BitAllocError, match=sentence):
        bitalloc.search(**given)


def test_a_real_device_and_a_bundle(
    trained_net: nn.Module, data: dict[str, Any], tmp_path: Path
) -> None:
    result = bitalloc.search(trained_net, data, method="uniform", output=tmp_path, **SMALL)
    assert result.table[-1]["source"] == "measured"
    assert (result.export(tmp_path / "bundle") / "run.py").exists()


def test_help_of_the_console_script_fits_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    from bitalloc.command import COMMANDS, main

    assert main([]) == main(["--help"]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 2 * 24  # it was printed twice
    assert all(any(name in line for line in lines) for name in COMMANDS)
    for name in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
    capsys.readouterr()
    assert main(["ruun"]) == USER_MISTAKE
    printed = capsys.readouterr().err
    assert "expected one of run, evaluate" in printed
    assert "did you mean run?" in printed


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["run", "--nonsense"], "hint: bitalloc run --help all lists"),
        (["submit", "export", "--nonsense"], "hint: bitalloc submit export --help all lists"),
        (["submit", "--nonsense"], "hint: bitalloc submit search --help all lists"),
        (["submit", "export", "--of", "first"], "--of: JOB stands without a flag"),
        (["submit", "export", "--of=first"], "hint: bitalloc submit export JOB"),
        (["evaluate", "--run", "runs/latest"], "hint: bitalloc evaluate RUN"),
        (["bench", "nothing"], "hint: bitalloc bench --help says"),
    ],
)
def test_a_mistake_is_told_of_the_command_that_was_typed(
    typed: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from bitalloc.command import main

    assert main(typed) == USER_MISTAKE
    said = capsys.readouterr().err
    assert told in said
    assert "python -m" not in said
