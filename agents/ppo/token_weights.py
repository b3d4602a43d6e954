"""Weights of a token policy: read as data, for networks of any length."""

from functools import lru_cache
from pathlib import Path

import torch
from gymnasium import spaces
from safetensors import SafetensorError
from safetensors.torch import load_model

from agents.ppo.token_policy import TokenPolicy
from env.errors import TaskError
from env.token_observer import WIDTHS, TokenObserver

SHIPPED = "shipped"
"""Names the weights that come with the package."""
IN_RUN = "run"
"""Names a policy that is trained in the run itself; there is no file of it."""
FILE = Path(__file__).with_name("token_policy.safetensors")
"""What `python -m tools.train_policy` wrote; what of stands beside it."""


def token_policy_of(name: str) -> TokenPolicy:
    """Return a policy that was trained before; it is read once, as long as its file is the same.

    Args:
        name: `shipped`, or a file as `python -m tools.train_policy` writes it.

    Raises:
        TaskError: the file is missing, or holds something else.
    """
    path = FILE if name == SHIPPED else Path(name)
    try:
        found = path.stat()
    except OSError:
        return _read(path, 0, 0)  # which says so
    return _read(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, mtime_ns: int, size: int) -> TokenPolicy:
    any_length = TokenObserver.space_of(1)
    with torch.random.fork_rng(devices=[]):  # what it begins with is drawn, and overwritten
        policy = TokenPolicy(any_length, spaces.Discrete(len(WIDTHS)), lambda _: 0.0)
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
            f"ppo.policy: expected weights of a policy over tokens in {path}, found something "
            f"else: {first}",
            f"make some with python -m tools.train_policy, or take {SHIPPED} or {IN_RUN}",
        ) from None
