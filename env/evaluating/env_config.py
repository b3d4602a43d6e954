"""EnvConfig: what may be chosen, how candidates are retrained, what counts as good."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from env.decisions.layer_rules import LayerRule, parse_rules
from env.errors import TaskError
from env.evaluating.reward import RewardConfig
from env.evaluating.sensitivity_config import SensitivityConfig
from quant.layers import MAX_BITS, MIN_BITS
from quant.records.ranges import Count, check_ranges
from quant.retraining.finetune_config import FinetuneConfig
from quant.tensors.arithmetic import FLOAT32, Arithmetic, Precision
from quant.tensors.devices import DEVICE_WORDS, is_device


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvConfig:
    """The decision problem of a run."""

    bit_choices: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8)
    """Bit-widths that may be chosen, for weights and activations alike."""
    layers: tuple[str, ...] = ()
    """Rules for single layers: `stem=8/8` pins, `blocks.*.conv2=4,8/8` is a menu of its own,
    `blocks.0.*=4,8 tied` one decision for all, `paired` one for weights and activations of each,
    `head=float` leaves in float."""
    weights: Literal["reset", "shared"] = "reset"
    """`shared`: weights go on training from evaluation to evaluation. `reset`: each evaluation
    starts from the float checkpoint."""
    retrain: Literal["end", "during"] = "end"
    """When a candidate is retrained. `during`: its training steps are spread over the decisions of
    the episode, and what each decision does to the loss is seen before the next one (see
    docs/retraining.md). `end`: after the last decision, at once."""
    accuracy_on: Literal["integers", "device"] = "integers"
    """Where the search split is scored: `integers` computes the network's codes here, `device` runs
    the compiled network on the target. Both give the same count; the device is slower."""
    calibration_images: Count = 256
    """Training images that the quantizers' steps are initialised from."""
    equalize: bool = True
    """Stretch channels that reach little on those images before that, where the network allows it:
    inputs of depthwise convolutions, linear bottlenecks, shortcuts without an activation. In float
    the network stays the same (see docs/retraining.md)."""
    device: str = "auto"
    """What trains, calibrates, estimates and scores: `cpu`, `cuda` or `cuda:N`, `mps`, or `auto`: a
    CUDA device where PyTorch has one, else the CPU (docs/scale.md). It has nothing to do with
    `target`, which the allocation is for."""
    precision: Precision = "float32"
    """Numbers that layers multiply in retraining steps: `bfloat16` has 8 significant bits, for
    devices that are quicker at it. What is calibrated, judged and scored stays as it is."""
    channels_last: bool = False
    """Have the images of retraining steps lie channels last in memory, which convolutions of some
    devices are quicker at."""
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    """How a candidate is retrained at its bits."""
    sensitivity: SensitivityConfig = field(default_factory=SensitivityConfig)
    """What methods that estimate sensitivities may look at."""
    reward: RewardConfig = field(default_factory=RewardConfig)
    """What counts how much."""

    def __post_init__(self) -> None:
        """Refuse bit choices outside 2..8, too few, or named twice, and rules that are none."""
        for bits in self.bit_choices:
            if not MIN_BITS <= bits <= MAX_BITS:
                raise TaskError(
                    f"env.bit_choices: expected widths from {MIN_BITS} to {MAX_BITS}, found {bits}"
                )
        if len(set(self.bit_choices)) < 2 or list(self.bit_choices) != sorted(
            set(self.bit_choices)
        ):
            raise TaskError(
                "env.bit_choices: expected at least two different widths in increasing order, "
                f"found {list(self.bit_choices)}"
            )
        if not is_device(self.device):
            raise TaskError(f"env.device: expected {DEVICE_WORDS}, found {self.device!r}")
        check_ranges(self, "env.", TaskError)
        parse_rules(self.layers)
        self._check_retrain()

    def _check_retrain(self) -> None:
        """Refuse retraining during an episode that starts nowhere, or has nothing to look at."""
        if self.retrain == "end":
            return
        if self.weights != "reset":
            raise TaskError(
                f"env.retrain: expected env.weights: reset with during, found {self.weights}",
                "what is spread over the decisions starts from the float checkpoint",
            )
        if not self.finetune.held_back_images:
            raise TaskError(
                "env.retrain: expected env.finetune.held_back_images above 0 with during, found 0",
                "they are what is looked at after each decision",
            )

    @property
    def arithmetic(self) -> Arithmetic:
        """How retraining steps compute."""
        return Arithmetic(precision=self.precision, channels_last=self.channels_last)

    @property
    def arithmetic_key(self) -> dict[str, Any]:
        """How steps compute, where that is not as they always did: keys of stored results."""
        return {} if self.arithmetic == FLOAT32 else asdict(self.arithmetic)

    @property
    def layer_rules(self) -> tuple[LayerRule, ...]:
        """The rules for single layers, as read."""
        return parse_rules(self.layers)
