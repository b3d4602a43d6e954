from dataclasses import replace
from pathlib import Path

import pytest

from agents.methods import METHODS
from agents.ppo.config import PPOConfig
from env.decisions.budget import BudgetConfig
from env.tasks.task_config import TaskConfig
from experiments import run as run_module
from experiments.errors import ConfigError
from experiments.settings.configured import load_config
from experiments.settings.keys import dotted_keys
from experiments.settings.load import config_to_yaml, read_config_file
from experiments.settings.run_config import RunConfig
from experiments.terminal.exit_codes import USER_MISTAKE
from experiments.terminal.typed import typed_as
from hardware.target import TargetConfig

CONFIGS = Path(run_module.__file__).parent / "configs"


def written(folder: Path, text: str) -> str:
    file = folder / "config.yaml"
    file.write_text(text)
    return str(file)


def test_nothing_asked_for_is_the_default() -> None:
    assert load_config([]) == RunConfig()


def test_what_the_project_brings_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = Path("experiments", "configs", "smoke.yaml")
    assert read_config_file(named) == read_config_file(CONFIGS / "smoke.yaml")
    named.parent.mkdir(parents=True)
    named.write_text("seed: 7\n")  # a file that is there is itself
    assert read_config_file(named) == RunConfig(seed=7)
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        read_config_file(named.with_name("smoky.yaml"))


def test_flags_win_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    file = written(
        tmp_path, "seed: 3\nevaluations: 10\nprotocol: {repeats: 7}\ntarget: {family: generic}\n"
    )
    arguments = ["--config", file, "--evaluations", "12", "--env.bit-choices", "2", "4", "8"]
    config = load_config([*arguments, "--budget.latency-ratio", "0.8", "--quiet"])
    assert (config.seed, config.evaluations, config.protocol.repeats) == (3, 12, 7)
    assert config.target.family == "generic"
    assert config.env.bit_choices == (2, 4, 8)
    assert config.budget == BudgetConfig(latency_ratio=0.8)
    assert config.quiet
    assert config.method_settings == RunConfig().method_settings == PPOConfig()


def test_a_written_configuration_reads_back_equal(tmp_path: Path) -> None:
    config = load_config(["--env.bit-choices", "2", "4", "8", "--budget.model-bytes", "9000"])
    config = replace(config, method="random", output="elsewhere")
    assert read_config_file(Path(written(tmp_path, config_to_yaml(config)))) == config


def test_the_digits_file_is_nearly_the_default_and_the_smoke_file_is_read() -> None:
    digits = RunConfig(
        task=TaskConfig(network="digits-even"),
        target=TargetConfig(tune_s=10.0),
        budget=BudgetConfig(latency_ratio=0.8),
    )
    assert read_config_file(CONFIGS / "digits.yaml") == digits
    assert read_config_file(CONFIGS / "smoke.yaml").evaluations < RunConfig().evaluations


def test_every_key_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        load_config(["--help", "all"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for key in dotted_keys(RunConfig()):
        assert f"--{key.replace('_', '-')}" in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target: {runnr: local}", "unknown key target.runnr, in {file}"),
        ("budgett: {}", "unknown key budgett, in {file}"),
        ("evaluations: many", "evaluations: expected a valid integer, found 'many', in {file}"),
        (
            "env: {bit_choices: [2, four]}",
            "env.bit_choices.1: expected a valid integer, found 'four', in {file}",
        ),
        ("env: 3", "env: expected an object, found 3, in {file}"),
        (
            "env: {bit_choices: [2, 9]}",
            "env.bit_choices: expected widths from 2 to 8, found 9, in {file}",
        ),
        (
            "protocol: {repeats: 2}",
            "protocol.repeats: expected at least 5, found 2, in {file}",
        ),
        (
            "target: {runner: moon}",
            "target.runner: expected 'local' or 'simulated', found 'moon', in {file}",
        ),
        ("- 3", "{file}: expected sections such as `protocol:`, found list"),
        (
            "task: {name: imagenet21k}",
            "task.name: expected one of digits, mnist1d, mnist1d-images, fashion-mnist, cifar10, "
            "image-folder, own, found 'imagenet21k', in {file}",
        ),
    ],
)
def test_a_file_that_is_wrong_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load_config(["--config", file])
    assert raised.value.message == message.format(file=file)


def test_a_hint_names_the_program_that_was_typed(tmp_path: Path) -> None:
    """Which is another from an installed wheel than from the repository."""
    file = written(tmp_path, "qqq: 3")
    for typed, shown in (("bitalloc run", "bitalloc run"), ("", "python -m experiments.run")):
        with typed_as(typed), pytest.raises(ConfigError) as raised:
            load_config(["--config", file])
        assert raised.value.hint == f"{shown} --help lists every key"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target.runnr", "local"], "unknown key target.runnr, in the command line"),
        (["--evaluations", "many"], "--evaluations: invalid literal for int()"),
        (["--target.runner", "moon"], "invalid choice 'moon' for argument '--target.runner'"),
        (["--env.bit-choices", "2", "9"], "env.bit_choices: expected widths from 2 to 8, found 9"),
        (["--budget.latency-ms", "inf"], "budget.latency_ms: expected a finite number, found inf"),
        (["--seed", "5000000000"], "seed: expected 0 to 4294967295, found 5000000000"),
        (["--protocol.repeats", "2"], "protocol.repeats: expected at least 5, found 2"),
        (
            ["--method", "ppoo"],
            f"method: expected one of {', '.join(METHODS)}, found 'ppoo'",
        ),
        (["--config"], "--config: expected a YAML file, found nothing"),
        (["--config", "/nowhere.yaml"], "cannot read the configuration /nowhere.yaml"),
        (["stray"], "Unrecognized"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_module.main(arguments) == USER_MISTAKE
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert message in printed.splitlines()[0]
    assert "Traceback" not in printed


def test_the_hint_says_what_was_meant(tmp_path: Path) -> None:
    for key, meant in (("target.runnr", "target.runner"), ("repeats", "protocol.repeats")):
        with pytest.raises(ConfigError) as raised:
            load_config([f"--{key}", "1"])
        assert raised.value.hint == f"did you mean {meant}?"


def test_not_yaml_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(["--config", written(tmp_path, "a: [1\n")])
