"""A configuration of an earlier version means what it meant then: plain descent on labels."""

from pathlib import Path

import pytest
import yaml

from experiments.errors import ConfigError
from experiments.settings.load import config_to_yaml, read_config_file
from experiments.settings.run_config import RunConfig
from quant.retraining.finetune_config import FinetuneConfig

RUN = Path(__file__).resolve().parents[2] / "fixtures" / "a94c802" / "run" / "config.yaml"
STEPS = {"env": 5, "final": 600, "amed": 10, "qbitopt": 20}


def written(folder: Path, text: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(text)
    return file


def retrained_by(config: RunConfig) -> dict[str, FinetuneConfig]:
    return {
        "env": config.env.finetune,
        "final": config.final,
        "amed": config.amed.finetune,  # type: ignore[attr-defined]
        "qbitopt": config.qbitopt.finetune,  # type: ignore[attr-defined]
    }


def plain(steps: int) -> FinetuneConfig:
    return FinetuneConfig(
        steps=steps,
        batch_size=64,
        optimizer="sgd",
        learning_rate=0.01,
        step_learning_rate=0.01,
        momentum=0.9,
        weight_decay=1e-4,
        warm_up_steps=0,
        clip_norm=0.0,
        averaging=0.0,
        teacher_weight=0.0,
        views=0,
        compensation_images=0,
        scale_images=0,
        held_back_images=0,
    )


def test_a_run_of_schema_1_is_retrained_by_plain_descent() -> None:
    assert yaml.safe_load(RUN.read_text())["config_schema"] == 1
    expected = {name: plain(steps) for name, steps in STEPS.items()}
    assert retrained_by(read_config_file(RUN)) == expected


def test_what_was_written_before_weights_could_be_compensated_is_not(tmp_path: Path) -> None:
    text = RUN.read_text().replace(", compensation_images: 0", "")
    assert "compensation_images" not in text
    config = read_config_file(written(tmp_path, text))
    assert retrained_by(config) == retrained_by(read_config_file(RUN))


def test_a_file_by_hand_has_the_defaults_of_today(tmp_path: Path) -> None:
    config = read_config_file(written(tmp_path, "env: {finetune: {steps: 5}}\nfinal: {steps: 7}"))
    assert config.env.finetune == FinetuneConfig(steps=5)
    assert config.final == FinetuneConfig(steps=7)
    others = ("amed", "qbitopt")
    today = retrained_by(RunConfig())
    assert {name: retrained_by(config)[name] for name in others} == {
        name: today[name] for name in others
    }
    assert today["env"].optimizer == "adam"


def test_earlier_runs_go_on_with_channels_as_they_are(tmp_path: Path) -> None:
    assert not read_config_file(RUN).env.equalize
    second = written(tmp_path, "config_schema: 2\nenv: {calibration_images: 64}")
    assert not read_config_file(second).env.equalize
    assert read_config_file(written(tmp_path, "env: {calibration_images: 64}")).env.equalize


def test_earlier_runs_are_ranked_by_accuracy_alone(tmp_path: Path) -> None:
    assert read_config_file(RUN).env.reward.speed_worth == 0.0
    third = "config_schema: 3\nenv: {reward: {accuracy_unit: 0.02}}"
    assert read_config_file(written(tmp_path, third)).env.reward.speed_worth == 0.0
    assert RunConfig().env.reward.speed_worth == 1.0


def test_earlier_runs_go_on_with_a_policy_of_their_own(tmp_path: Path) -> None:
    assert read_config_file(RUN).method_settings.policy == "run"
    fourth = "config_schema: 4\nppo: {warm_up_episodes: 7}"
    assert not read_config_file(written(tmp_path, fourth)).method_settings.posterior
    assert RunConfig().method_settings.policy == "shipped"


def test_what_was_read_of_schema_1_is_written_as_schema_5(tmp_path: Path) -> None:
    config = read_config_file(RUN)
    text = config_to_yaml(config)
    assert yaml.safe_load(text)["config_schema"] == 5
    assert read_config_file(written(tmp_path, text)) == config


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("env: 3", "env: expected an object, found 3"),
        ("env: {finetune: [5]}", r"env.finetune: expected an object, found \[5\]"),
        ("final: {stepz: 5}", "unknown key final.stepz"),
        ("amed: {finetune: {steps: many}}", "amed.finetune.steps: expected a valid integer"),
    ],
)
def test_a_wrong_section_of_schema_1_is_one_sentence(
    tmp_path: Path, section: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"{message}.*, in "):
        read_config_file(written(tmp_path, f"config_schema: 1\n{section}"))
