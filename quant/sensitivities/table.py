"""SensitivityTable: the rise of the loss that each tensor causes at each width, and its cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, PlainSerializer

TensorWidth = tuple[str, str, int]
"""(layer, "weight" or "activation", bits). Of a product of two tensors, "weight" is the right."""

SensitivityKind = Literal["measured", "gauss-newton", "hessian", "fisher"]
SENSITIVITY_KINDS: tuple[SensitivityKind, ...] = get_args(SensitivityKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class SensitivityTable:
    """Rise of the mean cross-entropy with one tensor at b bits and no retraining.

    Measured over all-8, or estimated over float by a quadratic model of the loss. Layers that
    read one tensor have equal activation entries, since they change together: a sum over a whole
    allocation counts them once.
    """

    kind: SensitivityKind = "measured"
    base_loss: float
    """Mean cross-entropy with everything at 8 bits (measured), or in float (estimated)."""
    images: int
    samples: int = 0
    """Images that went through the network, one that went twice counted twice; a backward pass
    belongs to its forward pass."""
    seconds: float = 0.0
    """Wall seconds that the estimate took when it was made."""
    rises: Annotated[
        Mapping[TensorWidth, float],
        BeforeValidator(
            lambda rows: {(layer, part, bits): rise for layer, part, bits, rise in rows}
        ),
        PlainSerializer(lambda rises: [[*part, rise] for part, rise in rises.items()]),
    ]
