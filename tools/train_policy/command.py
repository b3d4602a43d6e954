"""The command: draw lessons, clone their solutions, and say how well networks unseen are solved."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from safetensors.torch import save_model

from agents.ppo.token_play import play_tokens
from agents.ppo.token_policy import TokenPolicy
from experiments.errors import ConfigError
from experiments.record.environment_facts import environment_facts
from experiments.settings.command_line import Command, command_line, run_typed
from quant.records.atomic_file import atomic_file, write_atomically
from quant.records.json_form import json_text
from quant.records.ranges import Count, check_ranges
from tools.train_policy.cloning import clone, episode_of
from tools.train_policy.lesson_env import env_of
from tools.train_policy.lessons import Lesson, draw_lesson

MODULE = "tools.train_policy"
_HELD_OUT = 1_000_000
"""Seeds of lessons that nothing is learnt from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """Train the token policy on drawn networks: it learns what an exact solver chose.

    Networks, losses and times are all drawn: nothing is retrained or measured.
    """

    weights: Annotated[Path, tyro.conf.arg(metavar="FILE.safetensors")]
    """Where the weights go; what they were made of goes beside them, as JSON."""
    lessons: Count = 3000
    """Drawn networks to learn from."""
    passes: Count = 15
    """Over all of them."""
    learning_rate: float = 1e-3
    """At the beginning."""
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
    episodes = [episode_of(lesson) for lesson in lessons]
    print(f"{len(lessons)} lessons, {time.perf_counter() - started:.0f} s", flush=True)
    policy = new_policy(lessons[0], options.seed)
    clone(
        policy,
        episodes,
        passes=options.passes,
        learning_rate=options.learning_rate,
        rng=np.random.default_rng(options.seed),
        say=lambda line: print(line, flush=True),
    )
    policy.set_training_mode(False)
    judged = judge(policy, [draw_lesson(_HELD_OUT + seed) for seed in range(options.held_out)])
    for name, value in judged.items():
        print(f"{name} (drawn networks): {value:.4f}")
    with atomic_file(options.weights) as made:
        save_model(policy, str(made))
    made_of = {
        "command": typed,
        "git": environment_facts({})["git"],
        "seconds": round(time.perf_counter() - started, 1),
        "judged": judged,
    }
    write_atomically(options.weights.with_suffix(".json"), json_text(made_of, indent=1) + "\n")


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
        (greedy,) = play_tokens(policy, view, 1, deterministic=True)
        drawn = play_tokens(policy, view, samples, deterministic=False)
        least[place], choice[place] = lesson.loss(lesson.best), lesson.loss(greedy)
        best[place] = min(choice[place], *map(lesson.loss, drawn))
    found = {}
    for name, lost in (("choice", choice), (f"best of {samples}", best)):
        found[f"{name}: median"] = float(np.median(lost / np.maximum(1e-12, least)) - 1)
        found[f"{name}: of the sums"] = float(lost.sum() / least.sum() - 1)
    return found
