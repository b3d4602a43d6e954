"""Weights of a token policy: read as data, for networks of any length."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model

from agents.ppo.token_policy import TokenPolicy
from env.errors import TaskError
from env.token_view import TokenView


def token_policy_of(path: Path, view: TokenView) -> TokenPolicy:
    """Return the policy whose weights are in a file.

    Args:
        path: As `python -m tools.train_policy` writes it.
        view: Of any network: weights do not depend on its length.

    Raises:
        TaskError: the file is missing, or holds something else.
    """
    with torch.random.fork_rng(devices=[]):  # what it begins with is drawn, and overwritten
        policy = TokenPolicy(view.observation_space, view.action_space, lambda _: 0.0)
    load_weights(policy, path)
    policy.set_training_mode(False)
    return policy


def load_weights(policy: TokenPolicy, path: Path) -> None:
    """Give a policy the weights of a file.

    Raises:
        TaskError: as of `token_policy_of`.
    """
    try:
        load_model(policy, str(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        first = str(error).splitlines()[0]
        raise TaskError(
            f"ppo.token_weights: expected weights of a token policy in {path}, found something "
            f"else: {first}",
            "make some with python -m tools.train_policy",
        ) from None
