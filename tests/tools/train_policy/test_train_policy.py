"""Lessons are solved as they say, and cloning them teaches."""

import json
from pathlib import Path

import numpy as np
import pytest

from env.decisions.costs import model_bytes
from experiments.terminal.exit_codes import DONE
from tools.train_policy.cloning import episode_of
from tools.train_policy.command import main
from tools.train_policy.lesson_env import env_of
from tools.train_policy.lessons import draw_lesson


@pytest.mark.parametrize("seed", range(6))
def test_the_best_of_a_lesson_is_inside_its_budget_and_nothing_drawn_is_better(seed: int) -> None:
    lesson, rng = draw_lesson(seed), np.random.default_rng(seed)
    assert lesson.budget.allows(
        latency_ms=lesson.table.predict_ms(lesson.best),
        model_bytes=model_bytes(lesson.space.layers, lesson.best),
    )
    env = env_of(lesson)
    for _ in range(10):
        env.reset()
        for _ in lesson.space.decisions:
            legal = np.flatnonzero(env.action_masks())
            *_, info = env.step(np.int64(rng.choice(legal)))
        assert lesson.loss(info["evaluation"].allocation) >= lesson.loss(lesson.best) - 1e-9
    episode = episode_of(lesson)
    assert episode.masks[np.arange(len(episode.actions)), episode.actions].all()


def test_the_command_trains_and_says_what_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "policy.safetensors"
    flags = [
        "--weights",
        str(weights),
        "--lessons",
        "12",
        "--passes",
        "6",
        "--steps",
        "4096",
        "--held-out",
        "2",
    ]
    assert main(flags) == DONE
    shown = capsys.readouterr().out
    losses = [float(line.split()[3][:-1]) for line in shown.splitlines() if "pass" in line]
    assert losses[-1] < losses[0]
    made_of = json.loads(weights.with_suffix(".json").read_text())
    assert all(
        j["best of 32: median"] <= j["choice: median"] + 1e-9 for j in made_of["judged"].values()
    )
    assert weights.stat().st_size < 2_000_000
