"""QBitOptConfig: how long QBitOpt trains, and how often it solves for the bits again."""

from dataclasses import dataclass, field

from agents.costs.cost_kind import CostKind
from agents.judging.config import Judged
from agents.qbitopt.bit_program import NoiseModel
from env.errors import TaskError
from quant.records.ranges import Count, Natural, PositiveShare, check_ranges
from quant.retraining.finetune_config import FinetuneConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class QBitOptConfig(Judged):
    """How bits are solved for during training."""

    noise_model: NoiseModel = "levels"
    """Quantization noise at b bits: `levels` is (2^b - 1)^-2, `power` is 2^-2b."""
    cost: CostKind = "budget"
    """What the program pays with: the budget's own resources, or one quantity (the paper's is
    `mean_bits`) whose limit is raised as far as the budget allows."""
    rounds: Count = 10
    """Times that the bits are solved for, each followed by some training at them."""
    frozen_rounds: Natural = 2
    """Further rounds of training with the bits as they are."""
    finetune: FinetuneConfig = field(
        default_factory=lambda: FinetuneConfig(
            steps=20, compensation_images=64, scale_images=256, held_back_images=256
        )
    )
    """Training of one round; its learning rates fall to zero within the round and start again."""
    sensitivity_images: Count = 256
    """Training images that each round's sensitivities are estimated on."""
    averaging: PositiveShare = 0.5
    """Weight of the newest sensitivities in their running mean."""

    def __post_init__(self) -> None:
        """Refuse values that cannot train."""
        check_ranges(self, "qbitopt.", TaskError)
