"""AMEDConfig: how AMED samples bits while it trains."""

from dataclasses import dataclass, field

from agents.amed.score_matrix import Sampler
from agents.costs.cost_kind import CostKind
from env.errors import TaskError
from quant.finetune import FinetuneConfig

__all__ = ["AMEDConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AMEDConfig:
    """How bits are sampled during training; defaults that are not ours are the published ones."""

    sampler: Sampler = "exact"
    """`exact`: the chain's distribution is the softmax of the scores. `sharpened`: its square, as
    in the published code."""
    temperature: float = 0.1
    """Of that softmax; 1 as published, with which so few samples would hardly matter."""
    samples: int = 96
    """Times that bits are sampled during the training; at least once before each evaluation."""
    finetune: FinetuneConfig = field(default_factory=lambda: FinetuneConfig(steps=10))
    """Training at the bits of each sample. The weights are carried on and never reset."""
    validation_images: int = 256
    """Images of the search split that score a sample; at most as many as there are."""
    loss_weight: float = 1.0
    """Weight of the cross-entropy in the quality score."""
    cost: CostKind = "budget"
    """What counts as the cost: what is budgeted (latency where nothing is), or one quantity."""
    cost_weight: float = 1.0
    """Weight of the cost, as a share of all-8's."""
    averaging: float = 0.2
    """Weight of a new score in the running mean of each choice; 0 adds the scores up."""
    accuracy_drop: float = 0.02
    """How far accuracy may fall below the all-8-bit reference before the penalty begins."""
    penalty: float = 10.0
    """Score lost for each unit of accuracy (1 is all of it) below that threshold."""

    def __post_init__(self) -> None:
        """Refuse values that cannot sample."""
        for name, least in (("samples", 1), ("validation_images", 1)):
            if getattr(self, name) < least:
                raise TaskError(
                    f"amed.{name}: expected at least {least}, found {getattr(self, name)}"
                )
        if not self.temperature > 0:
            raise TaskError(f"amed.temperature: expected more than 0, found {self.temperature}")
        for name in ("loss_weight", "cost_weight", "penalty"):
            if not getattr(self, name) >= 0:
                raise TaskError(f"amed.{name}: expected 0 or more, found {getattr(self, name)}")
        for name in ("averaging", "accuracy_drop"):
            if not 0 <= getattr(self, name) <= 1:
                raise TaskError(f"amed.{name}: expected 0 to 1, found {getattr(self, name)}")
        if self.loss_weight + self.cost_weight == 0:
            raise TaskError("amed.loss_weight and amed.cost_weight are both 0: nothing would count")
