"""PPOConfig: sizes of PPO for episodes of ten to a hundred short steps."""

from dataclasses import dataclass

from env.errors import TaskError

__all__ = ["PPOConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PPOConfig:
    """How the policy learns, and how its real and practice episodes alternate.

    Rollouts are counted in whole episodes: a reward comes only at the end of one, and
    Stable-Baselines3's default of 2048 steps would be hundreds of them.
    """

    warm_up_episodes: int = 2000
    """Practice episodes before the first real one; 0 for none."""
    practice_episodes: int = 200
    """Practice episodes between two real ones; 0 makes every episode real."""
    final_evaluations: int = 4
    """Real evaluations kept for the end: the deterministic policy's choice and the best that
    practice found."""
    environments: int = 8
    """Copies of the environment that are stepped together."""
    rollout_episodes: int = 32
    """Episodes between two updates of the policy."""
    learning_rate: float = 1e-3
    """Adam's step size; falls linearly to a tenth of it."""
    epochs: int = 6
    """Passes over each rollout."""
    minibatches: int = 4
    """Parts that each pass is split into."""
    clip_range: float = 0.2
    """How far an update may move the probability ratio."""
    entropy_start: float = 0.1
    """Weight of the entropy bonus at the beginning; falls linearly to `entropy_end`."""
    entropy_end: float = 0.002
    """Weight of the entropy bonus at the end."""
    gae_lambda: float = 0.95
    """Trade of bias for variance in the advantages. The discount is always 1: what matters is
    the end of the episode, and no decision is more urgent for being late."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers, of the policy and of the value function each."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot train."""
        for name, least in (
            ("warm_up_episodes", 0),
            ("practice_episodes", 0),
            ("final_evaluations", 1),
            ("environments", 1),
            ("rollout_episodes", 2),
            ("epochs", 1),
            ("minibatches", 1),
        ):
            if getattr(self, name) < least:
                raise TaskError(
                    f"ppo.{name}: expected at least {least}, found {getattr(self, name)}"
                )
        for name in ("learning_rate", "clip_range", "gae_lambda"):
            if not getattr(self, name) > 0:
                raise TaskError(f"ppo.{name}: expected more than 0, found {getattr(self, name)}")
        for name in ("entropy_start", "entropy_end"):
            if not getattr(self, name) >= 0:
                raise TaskError(f"ppo.{name}: expected 0 or more, found {getattr(self, name)}")
