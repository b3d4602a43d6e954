"""Cloning: the policy learns to choose what the exact solver chose, episode by episode."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.random import Generator

from env.token_observer import WIDTHS
from tools.train_policy.lesson_env import env_of
from tools.train_policy.lessons import Lesson

_STEPS_TOGETHER = 256
"""About so many steps of episodes of like length in one batch."""

Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Episode:
    """What was seen and chosen at each of D steps of a lesson's best episode."""

    seen: dict[str, Numbers]
    """float32 `[D, ...]` of each part of an observation; of D tokens."""
    masks: npt.NDArray[np.bool_]
    """`[D, len(WIDTHS)]`."""
    actions: npt.NDArray[np.int64]
    """`[D]`."""


def episode_of(lesson: Lesson) -> Episode:
    """Walk a lesson's network to its best allocation."""
    env = env_of(lesson)
    seen, _ = env.reset()
    steps, masks, actions = [], [], []
    for bits in lesson.space.bits_of(lesson.best):
        action = WIDTHS.index(bits)
        steps.append(seen)
        masks.append(env.action_masks())
        actions.append(action)
        seen = env.step(np.int64(action))[0]
    return Episode(
        seen={name: np.stack([step[name] for step in steps]) for name in steps[0]},
        masks=np.stack(masks),
        actions=np.array(actions),
    )


def clone(
    policy: Any,
    episodes: Sequence[Episode],
    *,
    passes: int,
    learning_rate: float,
    rng: Generator,
    say: Callable[[str], None],
) -> None:
    """Fit a policy to what was chosen, by cross-entropy.

    Args:
        policy: A MaskableActorCriticPolicy over tokens.
        episodes: Solved ones.
        passes: Over all.
        learning_rate: At the beginning; falls to nothing along a cosine.
        rng: Orders the batches.
        say: Gets a line for each pass.
    """
    optimizer = torch.optim.AdamW(policy.parameters(), lr=learning_rate, weight_decay=1e-4)
    batches = _batches(episodes)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, passes * len(batches))
    for number in range(passes):
        losses, right, count = 0.0, 0, 0
        for batch in (batches[place] for place in rng.permutation(len(batches))):
            seen, masks, actions = _tensors([episodes[place] for place in batch])
            distribution = policy.get_distribution(seen, action_masks=masks)
            loss = -distribution.log_prob(actions).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses += float(loss.detach()) * len(actions)
            right += int((distribution.mode() == actions).sum())
            count += len(actions)
        say(f"pass {number + 1}: cross-entropy {losses / count:.4f}, {100 * right / count:.1f} %")


def _batches(episodes: Sequence[Episode]) -> list[list[int]]:
    """Group episodes of like length, so that little is padded."""
    order = sorted(range(len(episodes)), key=lambda place: len(episodes[place].actions))
    batches: list[list[int]] = [[]]
    for place in order:
        length = len(episodes[place].actions)
        if batches[-1] and (len(batches[-1]) + 1) * length > _STEPS_TOGETHER:
            batches.append([])
        batches[-1].append(place)
    return batches


def _tensors(
    episodes: Sequence[Episode],
) -> tuple[dict[str, torch.Tensor], npt.NDArray[np.bool_], torch.Tensor]:
    length = max(len(episode.actions) for episode in episodes)
    parts = {name: [one.seen[name] for one in episodes] for name in episodes[0].seen}
    parts["tokens"] = [
        np.pad(tokens, ((0, 0), (0, length - tokens.shape[1]), (0, 0)))
        for tokens in parts["tokens"]
    ]
    seen = {name: torch.from_numpy(np.concatenate(all_steps)) for name, all_steps in parts.items()}
    masks = np.concatenate([one.masks for one in episodes])
    return seen, masks, torch.from_numpy(np.concatenate([one.actions for one in episodes]))
