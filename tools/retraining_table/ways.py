"""Ways: what one could do at the bits of an allocation, ours and what ours is compared with."""

from dataclasses import dataclass, replace

from env.evaluating.env_config import EnvConfig
from quant.retraining.finetune_config import FinetuneConfig

_STEPS = 60
_COMPENSATION_IMAGES = 256
_RECIPE_RATES = (1e-3, 3e-4)
_DESCENT_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One way, in as many variants as the search split is to choose among."""

    name: str
    title: str
    variants: tuple[FinetuneConfig, ...]
    judged_on_8_bits: bool = False
    """Whether it has a part in the sentence about 8 bits."""

    @property
    def is_random(self) -> bool:
        """Whether seeds make a difference."""
        return any(config.steps for config in self.variants)


def ways(rival_batch: int) -> tuple[Way, ...]:
    """Return all ways, in the order of the table.

    Rivals say every value that ours may change; only the rounding that they begin with is shared.

    Args:
        rival_batch: Images in a step of the recipe at absolute rates.
    """
    ours = EnvConfig().finetune
    compensated = replace(ours, steps=0, scale_images=0)
    nearest = replace(compensated, compensation_images=0)
    return (
        Way(name=NEAREST, title="nearest", variants=(nearest,), judged_on_8_bits=True),
        Way(
            name=COMPENSATED,
            title="compensated",
            variants=(compensated,),
            judged_on_8_bits=True,
        ),
        Way(name=OURS, title="retrained", variants=(ours,), judged_on_8_bits=True),
        Way(
            name="adam",
            title="compensated, then Adam",
            variants=tuple(adam_at(rate, rival_batch) for rate in _RECIPE_RATES),
        ),
        Way(
            name="descent",
            title="nearest, then plain descent",
            variants=tuple(descent_at(rate) for rate in _DESCENT_RATES),
        ),
    )


NEAREST, COMPENSATED, OURS = "nearest", "compensated", "ours"
RIVALS = (COMPENSATED, "adam", "descent")
"""What ours must keep up with."""


def adam_at(rate: float, batch_size: int) -> FinetuneConfig:
    """Return the recipe at one absolute rate for all weights: the float network teaches alone."""
    return FinetuneConfig(
        steps=_STEPS,
        batch_size=batch_size,
        optimizer="adam",
        learning_rate=rate,
        step_learning_rate=rate / 10,
        momentum=0.9,
        warm_up_steps=5,
        clip_norm=1.0,
        averaging=0.0,
        teacher_weight=1.0,
        compensation_images=_COMPENSATION_IMAGES,
        scale_images=0,
        held_back_images=0,
    )


def descent_at(rate: float) -> FinetuneConfig:
    """Return descent at one rate from weights that were rounded to the nearest, by the labels."""
    return FinetuneConfig(
        steps=_STEPS,
        batch_size=64,
        optimizer="sgd",
        learning_rate=rate,
        step_learning_rate=rate,
        momentum=0.9,
        weight_decay=1e-4,
        warm_up_steps=0,
        clip_norm=0.0,
        averaging=0.0,
        teacher_weight=0.0,
        compensation_images=0,
        scale_images=0,
        held_back_images=0,
    )
