"""Configurations as people write them: read as YAML 1.2, or refused in one sentence at once."""

from pathlib import Path

import pytest

from experiments.errors import ConfigError
from experiments.settings.load import read_config_file
from experiments.settings.run_config import RunConfig

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


def read(folder: Path, text: str | bytes) -> RunConfig:
    file = folder / "config.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_config_file(file)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BOMB, "line 6: expected at most 100,000 values, aliases written out"),
        ("a: &a [*a]", "line 1: *a is a part of itself, or not there"),
        ("a: *b", "line 1: *b is a part of itself, or not there"),
        ("[" * 5000, "line 1: expected at most 20 sections in each other"),
        ("a: " + "{a: " * 3000, "line 1: expected at most 20 sections in each other"),
        ("seed: " + "9" * 6000, "line 1: expected a number, found one of 6,000 digits"),
        ("method: " + "x" * 20_000, "line 1: expected at most 10,000 characters in a value"),
        ("#" * 2_000_000, "expected at most 1,000,000 bytes, found 2,000,000"),
        ("seed: 1\nmethod: ppo\nseed: 2", "line 3: seed is there twice"),
        ("env: {weights: reset, weights: shared}", "line 1: weights is there twice"),
        ("1: 2", "line 1: expected names of keys, found 1"),
        ("? [a]\n: b", "line 1: expected names of keys, found ['a']"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor for the tag"),
        ("seed: 1\n---\nseed: 2", "expected a single document"),
        ("env:\n\tweights: reset", "found character '\\t'"),
        ("# Größe".encode("latin-1"), "unacceptable character"),
    ],
)
def test_what_is_no_configuration_is_one_sentence(
    tmp_path: Path, text: str | bytes, problem: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)
    assert problem in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("quiet: yes", "quiet: expected a valid boolean, found 'yes'"),
        ("quiet: off", "quiet: expected a valid boolean, found 'off'"),
        ("evaluations: 1e2", "evaluations: expected a valid integer, found 100.0"),
        ("evaluations: 1000000000", "evaluations: expected at most 1000000, found 1000000000"),
        ("seed: " + "9" * 40, "found 9999999999999999999999999999999999999999, in"),
        ("protocol: {timeout_s: 1e-9}", "protocol.timeout_s: expected at least 0.001, found 1e-09"),
        ("protocol: {min_repeat_ms: .inf}", "protocol.min_repeat_ms: expected a finite number"),
        ("final: {steps: -1}", "final.steps: expected at least 0, found -1, in"),
        ("env: {finetune: {steps: 1000000000}}", "env.finetune.steps: expected at most 10000000"),
        ("<<: {seed: 1}", "unknown key <<"),
        (
            "env.finetune.steps: 2\nenv: {finetune: {steps: 3}}",
            "env.finetune.steps is there twice",
        ),
        ("env: 3\nenv.weights: reset", "env is there twice"),
    ],
)
def test_values_are_those_of_yaml_1_2_and_within_bounds(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)
    assert problem in raised.value.message


@pytest.mark.parametrize("text", ["seed: 10\nenv: {finetune: {learning_rate: 0.001}}"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_say_what_they_are(tmp_path: Path, text: str, encoding: str) -> None:
    assert read(tmp_path, text.encode(encoding)).seed == 10


def test_scalars_and_habits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = read(
        tmp_path,
        """
seed: 010
output: ~/kept
budget:
  # latency_ratio: 0.8
protocol: {}
env.finetune.learning_rate: 1e-3
env: {weights: shared, finetune: &same {steps: 7}}
final: *same
""",
    )
    assert found.seed == 10  # not the octal number 8
    assert found.output == str(tmp_path / "kept")
    assert found.budget == RunConfig().budget
    assert found.env.finetune.learning_rate == 0.001
    assert found.env.weights == "shared"
    assert found.env.finetune.steps == found.final.steps == 7


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is no regular file"):
        read_config_file(tmp_path)
