"""Weights of a token policy: read as data, for networks of any length."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model

from agents.ppo.token_policy import TokenPolicy
from env.errors import TaskError
from env.token_view import TokenView

SHIPPED = "shipped"
"""Names the weights that come with the package."""
IN_RUN = "run"
"""Names a policy that is trained in the run itself; there is no file of it."""
FILE = Path(__file__).with_name("token_policy.safetensors")
"""What `python -m tools.train_policy` wrote; what of stands beside it."""


def token_policy_of(name: str, view: TokenView) -> TokenPolicy:
    """Return a policy that was trained before.

    Args:
        name: `shipped`, or a file as `python -m tools.train_policy` writes it.
        view: Of any network: weights do not depend on its length.

    Raises:
        TaskError: the file is missing, or holds something else.
    """
    with torch.random.fork_rng(devices=[]):  # what it begins with is drawn, and overwritten
        policy = TokenPolicy(view.observation_space, view.action_space, lambda _: 0.0)
    load_weights(policy, FILE if name == SHIPPED else Path(name))
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
            f"ppo.policy: expected weights of a policy over tokens in {path}, found something "
            f"else: {first}",
            f"make some with python -m tools.train_policy, or take {SHIPPED} or {IN_RUN}",
        ) from None
