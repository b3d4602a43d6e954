"""PPOConfig: sizes of PPO for episodes of ten to a hundred short steps."""

from dataclasses import dataclass, field
from typing import Annotated

from agents.judging.config import Judged
from agents.ppo.token_weights import SHIPPED
from env.errors import TaskError
from quant.records.ranges import Count, Natural, NotNegative, Positive, at_least, check_ranges
from quant.retraining.finetune_config import FinetuneConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class PPOConfig(Judged):
    """How the policy learns, and how its real and practice episodes alternate.

    Of a policy that was trained before only `policy_samples` counts. For one that is trained in the
    run, rollouts are counted in whole episodes: a reward comes only at the end of one, and
    Stable-Baselines3's default of 2048 steps would be hundreds of them.
    """

    policy: str = SHIPPED
    """Who proposes: `shipped`, a policy that reads whole networks as tokens and was trained before,
    on drawn ones; a FILE with weights of such a policy (`python -m tools.train_policy`); or `run`,
    one that this run trains in its own practice."""
    policy_samples: Count = 128
    """Allocations that a policy trained before draws for each evaluation, two thirds of them from
    flatter ones."""
    posterior: bool = True
    """Answer what is best by the posterior of the hidden responses (a model, which all evaluations
    teach), not the best score."""
    race: Natural = 3
    """Of the evaluations, the last so many, and at most a quarter, go to the best few: each is
    evaluated again with other seeds. With `env.weights: reset` alone."""
    one_shot: FinetuneConfig = field(
        default_factory=lambda: FinetuneConfig(
            steps=0,
            compensation_images=0,
            scale_images=0,
            held_back_images=256,
            range_test=False,
        )
    )
    """A training with shared weights before the first evaluation, in which a policy trained before
    draws the bits of each batch: the posterior learns from what batches show. `steps` batches; 0:
    there is none. A batch counts as two, as all-8 is trained beside it."""
    warm_up_episodes: Natural = 2000
    """Practice episodes before the first real one; 0 for none."""
    practice_episodes: Natural = 200
    """Practice episodes between two real ones; 0 makes every episode real."""
    final_evaluations: Count = 4
    """Real evaluations kept for the end: the deterministic policy's choice and the best that
    practice found."""
    environments: Count = 8
    """Copies of the environment that are stepped together."""
    rollout_episodes: Annotated[int, at_least(2)] = 32
    """Episodes between two updates of the policy."""
    learning_rate: Positive = 1e-3
    """Adam's step size; falls linearly to a tenth of it."""
    epochs: Count = 6
    """Passes over each rollout."""
    minibatches: Count = 4
    """Parts that each pass is split into."""
    clip_range: Positive = 0.2
    """How far an update may move the probability ratio."""
    entropy_start: NotNegative = 0.1
    """Weight of the entropy bonus at the beginning; falls linearly to `entropy_end`."""
    entropy_end: NotNegative = 0.002
    """Weight of the entropy bonus at the end."""
    gae_lambda: Positive = 0.95
    """Trade of bias for variance in the advantages. The discount is always 1: what matters is
    the end of the episode, and no decision is more urgent for being late."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers, of the policy and of the value function each."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot train."""
        check_ranges(self, "ppo.", TaskError)
