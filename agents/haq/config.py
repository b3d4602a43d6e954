"""HAQConfig: sizes of HAQ's DDPG agent."""

from dataclasses import dataclass

from env.errors import TaskError

__all__ = ["HAQConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class HAQConfig:
    """How the DDPG agent learns.

    Published sizes, but for what 600 episodes leave time for and 24 do not.
    """

    warm_up_episodes: int = 8
    """Episodes of uniformly random actions before anything is learnt; 20 of 600 in the paper."""
    noise: float = 0.5
    """Spread of the noise added to the first learnt actions, which are 0..1."""
    noise_end: float = 0.05
    """Spread of it at the last evaluation; it falls geometrically, as in the paper."""
    updates: int = 1
    """Gradient steps for each step of an episode."""
    batch_size: int = 64
    """Transitions in a gradient step."""
    hidden: tuple[int, ...] = (300, 300)
    """Widths of the hidden layers, of the actor and of the critic each."""
    learning_rate: float = 1e-3
    """Adam's step size, of both; the paper has 1e-4 for the actor."""
    tau: float = 0.01
    """How much of the networks goes into their targets at each gradient step."""
    replay_episodes: int = 128
    """Episodes that the replay buffer holds."""
    reward_scale: float = 0.1
    """What an accuracy point is worth to the critic."""
    baseline: float = 0.5
    """Weight of a batch's mean reward in the running mean that is taken off its rewards."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot train."""
        for name, least in (
            ("warm_up_episodes", 0),
            ("updates", 1),
            ("batch_size", 1),
            ("replay_episodes", 1),
        ):
            if getattr(self, name) < least:
                raise TaskError(
                    f"haq.{name}: expected at least {least}, found {getattr(self, name)}"
                )
        for name in ("noise", "noise_end", "learning_rate", "reward_scale"):
            if not getattr(self, name) > 0:
                raise TaskError(f"haq.{name}: expected more than 0, found {getattr(self, name)}")
        for name in ("tau", "baseline"):
            if not 0 < getattr(self, name) <= 1:
                raise TaskError(
                    f"haq.{name}: expected more than 0, up to 1, found {getattr(self, name)}"
                )
