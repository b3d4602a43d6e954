"""Playing a token policy: episodes of one network side by side, none of them evaluated."""

import numpy as np
import torch

from agents.ppo.token_policy import TokenPolicy
from env.token_observer import WIDTHS
from env.token_view import TokenView
from quant.allocation import Allocation


@torch.no_grad()
def play_tokens(
    policy: TokenPolicy, view: TokenView, count: int, *, deterministic: bool
) -> list[Allocation]:
    """Return the allocations that a policy chooses.

    Args:
        policy: Reads tokens.
        view: Of the network, its budget set and what it would lose shown; it is reset.
        count: Episodes.
        deterministic: Take the most probable action, not a drawn one.
    """
    network = view.network
    view.reset()  # once: with a new budget it prepares the masks anew
    views = [view.fork() for _ in range(count)]
    seen = [each.reset()[0] for each in views]
    bits: list[list[int]] = [[] for _ in views]
    for step in range(len(network.decisions)):
        logits = policy.logits(
            {key: torch.from_numpy(np.stack([each[key] for each in seen])) for key in seen[0]},
            torch.from_numpy(np.stack([each.action_masks() for each in views])),
        )
        actions = logits.argmax(1) if deterministic else logits.softmax(1).multinomial(1)[:, 0]
        for decided, action in zip(bits, actions.tolist(), strict=True):
            decided.append(WIDTHS[action])
        if step + 1 < len(network.decisions):  # the last step would evaluate
            seen = [
                each.step(np.int64(action))[0]
                for each, action in zip(views, actions.tolist(), strict=True)
            ]
    return [network.space.allocation(decided) for decided in bits]


def propose_tokens(policy: TokenPolicy, view: TokenView, samples: int) -> list[Allocation]:
    """Return the policy's choice, then what it draws, each once.

    Args:
        policy: Reads tokens.
        view: As of `play_tokens`.
        samples: Allocations that are drawn; some may be equal.
    """
    choice = play_tokens(policy, view, 1, deterministic=True)
    drawn = play_tokens(policy, view, samples, deterministic=False)
    return list(dict.fromkeys([*choice, *drawn]))
