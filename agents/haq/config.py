"""HAQConfig: sizes of HAQ's DDPG agent."""

from dataclasses import dataclass

from agents.judging.config import Judged
from env.errors import TaskError
from quant.records.ranges import Count, Natural, Positive, PositiveShare, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class HAQConfig(Judged):
    """How the DDPG agent learns.

    Published sizes, but for what 600 episodes leave time for and 24 do not.
    """

    warm_up_episodes: Natural = 8
    """Episodes of uniformly random actions before anything is learnt; 20 of 600 in the paper."""
    noise: Positive = 0.5
    """Spread of the noise added to the first learnt actions, which are 0..1."""
    noise_end: Positive = 0.05
    """Spread of it at the last evaluation; it falls geometrically, as in the paper."""
    updates: Count = 1
    """Gradient steps for each step of an episode."""
    batch_size: Count = 64
    """Transitions in a gradient step."""
    hidden: tuple[int, ...] = (300, 300)
    """Widths of the hidden layers, of the actor and of the critic each."""
    learning_rate: Positive = 1e-3
    """Adam's step size, of both; the paper has 1e-4 for the actor."""
    tau: PositiveShare = 0.01
    """How much of the networks goes into their targets at each gradient step."""
    replay_episodes: Count = 128
    """Episodes that the replay buffer holds."""
    reward_scale: Positive = 0.1
    """What an accuracy point is worth to the critic."""
    baseline: PositiveShare = 0.5
    """Weight of a batch's mean reward in the running mean that is taken off its rewards."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot train."""
        check_ranges(self, "haq.", TaskError)
