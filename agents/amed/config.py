"""AMEDConfig: how AMED samples bits while it trains."""

from dataclasses import dataclass, field

from agents.amed.score_matrix import Sampler
from agents.costs.cost_kind import CostKind
from agents.judging.config import Judged
from env.errors import TaskError
from quant.records.ranges import Count, NotNegative, Positive, Share, check_ranges
from quant.retraining.finetune_config import FinetuneConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class AMEDConfig(Judged):
    """How bits are sampled during training; defaults that are not ours are the published ones."""

    sampler: Sampler = "exact"
    """`exact`: the chain's distribution is the softmax of the scores. `sharpened`: its square, as
    in the published code."""
    temperature: Positive = 0.1
    """Of that softmax; 1 as published, with which so few samples would hardly matter."""
    samples: Count = 96
    """Times that bits are sampled during the training; at least once before each evaluation."""
    finetune: FinetuneConfig = field(
        default_factory=lambda: FinetuneConfig(
            steps=10, compensation_images=64, scale_images=256, held_back_images=256
        )
    )
    """Training at the bits of each sample. The weights are carried on and never reset."""
    validation_images: Count = 256
    """Images of the search split that score a sample; at most as many as there are."""
    loss_weight: NotNegative = 1.0
    """Weight of the loss in the quality score, in the loss's own unit: one far from 1 needs another
    weight."""
    cost: CostKind = "budget"
    """What counts as the cost: what is budgeted (latency where nothing is), or one quantity."""
    cost_weight: NotNegative = 1.0
    """Weight of the cost, as a share of all-8's."""
    averaging: Share = 0.2
    """Weight of a new score in the running mean of each choice; 0 adds the scores up."""
    accuracy_drop: Share = 0.02
    """How far accuracy may fall below the all-8-bit reference before the penalty begins."""
    penalty: NotNegative = 10.0
    """Score lost for each unit of accuracy (1 is all of it) below that threshold."""

    def __post_init__(self) -> None:
        """Refuse values that cannot sample."""
        check_ranges(self, "amed.", TaskError)
        if self.loss_weight + self.cost_weight == 0:
            raise TaskError("amed.loss_weight and amed.cost_weight are both 0: nothing would count")
