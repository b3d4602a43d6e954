"""The command: draw lessons, clone their solutions, and say how well networks unseen are solved."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from safetensors.torch import save_model

from agents.ppo.token_play import propose_tokens
from agents.ppo.token_policy import TokenPolicy
from agents.ppo.token_weights import load_weights
from experiments.errors import ConfigError
from experiments.record.environment_facts import git_state
from experiments.settings.command_line import Command, command_line, run_typed
from quant.records.atomic_file import atomic_file, write_atomically
from quant.records.json_form import json_text
from quant.records.ranges import Count, Natural, check_ranges
from tools.train_policy.cloning import clone, episode_of
from tools.train_policy.lesson_env import env_of
from tools.train_policy.lessons import Lesson, draw_lesson
from tools.train_policy.practising import practise

MODULE = "tools.train_policy"
_HELD_OUT = 1_000_000
"""Seeds of lessons that nothing is learnt from."""
_LONGEST = 64
"""Decisions of the longest networks that are practised on: all are padded to the longest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """Train the token policy on drawn networks.

    First it learns what an exact solver chose, then by PPO from what its own choices lose.
    Networks, losses and times are all drawn: nothing is retrained or measured.
    """

    weights: Annotated[Path, tyro.conf.arg(metavar="FILE.safetensors")]
    """Where the weights go; what they were made of goes beside them, as JSON."""
    lessons: Count = 6000
    """Drawn networks to learn from."""
    passes: Natural = 16
    """Over all of them, for what the solver chose; 0 for none."""
    learning_rate: float = 1e-3
    """At the beginning of those."""
    start: Annotated[Path | None, tyro.conf.arg(metavar="FILE.safetensors")] = None
    """Weights to begin with; what they were made of is kept, too."""
    steps: Natural = 90_000
    """Decisions in practice by PPO, in all; 0 for none."""
    practice_rate: float = 5e-5
    """PPO's step size at the beginning."""
    held_out: Count = 100
    """Drawn networks that judge it."""
    seed: int = 0
    """Of the weights and of the lessons' order."""

    def __post_init__(self) -> None:
        """Refuse counts that are none."""
        check_ranges(self, "", ConfigError)


def main(arguments: Sequence[str]) -> int:
    """Train, judge, and return the exit code."""
    command = Command(
        options=TrainOptions, work=lambda o: _work(o, command_line(MODULE, arguments))
    )
    return run_typed(MODULE, command, arguments)


def new_policy(lesson: Lesson, seed: int) -> TokenPolicy:
    """Return an untrained policy."""
    torch.manual_seed(seed)
    env = env_of(lesson)
    return TokenPolicy(env.observation_space, env.action_space, lambda _: 0.0)


def _work(options: TrainOptions, typed: str) -> None:
    torch.set_num_threads(1)
    started = time.perf_counter()
    lessons = [draw_lesson(seed) for seed in range(options.lessons)]
    held_out = [draw_lesson(_HELD_OUT + seed) for seed in range(options.held_out)]
    say(f"{len(lessons)} lessons, {time.perf_counter() - started:.0f} s")
    policy = new_policy(lessons[0], options.seed)
    if options.start is not None:
        load_weights(policy, options.start)
    judged = {}
    if options.passes:
        clone(
            policy,
            [episode_of(lesson) for lesson in lessons],
            passes=options.passes,
            learning_rate=options.learning_rate,
            rng=np.random.default_rng(options.seed),
            say=say,
        )
        judged["cloned"] = _judged(policy, held_out)
        _write(policy, options.weights)
    if options.steps:
        practise(
            policy,
            [one for one in lessons if len(one.space.decisions) <= _LONGEST],
            steps=options.steps,
            learning_rate=options.practice_rate,
            seed=options.seed,
            say=say,
        )
        judged["practised"] = _judged(policy, held_out)
        _write(policy, options.weights)
    made_of: dict[str, Any] = {
        "command": typed,
        "git": git_state(),
        "seconds": round(time.perf_counter() - started, 1),
        "judged": judged,
    }
    if options.start is not None and (before := options.start.with_suffix(".json")).exists():
        made_of["start"] = json.loads(before.read_text(encoding="utf-8"))
    write_atomically(options.weights.with_suffix(".json"), json_text(made_of, indent=1) + "\n")


def say(line: str) -> None:
    """Show a line at once."""
    print(line, flush=True)


def _write(policy: TokenPolicy, weights: Path) -> None:
    with atomic_file(weights) as made:
        save_model(policy, str(made))


def _judged(policy: TokenPolicy, lessons: Sequence[Lesson]) -> dict[str, float]:
    policy.set_training_mode(False)
    found = judge(policy, lessons)
    policy.set_training_mode(True)
    for name, value in found.items():
        say(f"{name} (drawn networks): {value:.4f}")
    return found


def judge(policy: TokenPolicy, lessons: Sequence[Lesson], samples: int = 32) -> dict[str, float]:
    """Return how much more a policy loses than the best allocation, as shares of what that loses.

    Args:
        policy: In evaluation mode.
        lessons: Networks that it has not learnt from.
        samples: Drawn allocations, the best of which is judged too.
    """
    least, choice, best = (np.zeros(len(lessons)) for _ in range(3))
    for place, lesson in enumerate(lessons):
        view = env_of(lesson)
        rng = np.random.default_rng(place)
        lost = [lesson.loss(one) for one in propose_tokens(policy, view, samples, rng)]
        least[place], choice[place], best[place] = lesson.loss(lesson.best), lost[0], min(lost)
    found = {}
    for name, losses in (("choice", choice), (f"best of {samples}", best)):
        found[f"{name}: median"] = float(np.median(losses / np.maximum(1e-12, least)) - 1)
        found[f"{name}: of the sums"] = float(losses.sum() / least.sum() - 1)
    return found
