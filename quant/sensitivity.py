"""The plain measured sensitivity: how much the loss rises with one tensor at b bits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from quant.allocation import Allocation, LayerBits
from quant.errors import BitAllocError
from quant.layers import MAX_BITS, LayerSpec
from quant.network import QuantizedNetwork

__all__ = ["SensitivityTable", "measured_sensitivity"]

Part = tuple[str, str, int]
"""(layer, "weight" or "activation", bits)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SensitivityTable:
    """Rise of the mean cross-entropy over all-8, with one tensor at b bits and no retraining.

    Layers that read one tensor have equal activation entries, since they change together.
    """

    rises: Mapping[Part, float]
    base_loss: float
    """Mean cross-entropy with everything at 8 bits."""
    images: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "base_loss": self.base_loss,
            "images": self.images,
            "rises": [[*part, rise] for part, rise in self.rises.items()],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "SensitivityTable":
        """Read a document written by `to_dict`."""
        return cls(
            rises={(layer, part, bits): rise for layer, part, bits, rise in document["rises"]},
            base_loss=document["base_loss"],
            images=document["images"],
        )


def measured_sensitivity(
    network: QuantizedNetwork,
    images: torch.Tensor,
    labels: torch.Tensor,
    bit_choices: Sequence[int],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> SensitivityTable:
    """Measure the loss with exactly one tensor at each bit choice, the rest at 8 bits.

    Args:
        network: Calibrated; its allocation is put back afterwards.
        images: float32 `[N, C, H, W]`.
        labels: int64 `[N]`.
        bit_choices: Widths to try.
        progress: Called with (losses done, losses in all).
    """
    if not len(images):
        raise BitAllocError("a sensitivity needs at least one image")
    before = network.allocation
    base = Allocation.uniform(network.layers, MAX_BITS)
    plan = list(_variants(network.layers, base, bit_choices))
    rises: dict[Part, float] = {}
    try:
        base_loss = _loss(network, base, images, labels)
        for done, (parts, allocation) in enumerate(plan, start=1):
            same = allocation == base
            loss = base_loss if same else _loss(network, allocation, images, labels)
            for part in parts:
                rises[part] = loss - base_loss
            if progress:
                progress(done, len(plan))
    finally:
        network.set_allocation(before)
    return SensitivityTable(rises=rises, base_loss=base_loss, images=len(images))


def _variants(
    layers: Sequence[LayerSpec], base: Allocation, bit_choices: Sequence[int]
) -> list[tuple[list[Part], Allocation]]:
    plan: list[tuple[list[Part], Allocation]] = []
    for bits in bit_choices:
        for layer in layers:
            changed = dict(base.items)
            activation_bits = changed[layer.name].activation_bits
            changed[layer.name] = LayerBits(weight_bits=bits, activation_bits=activation_bits)
            plan.append(([(layer.name, "weight", bits)], Allocation.of(changed)))
        for tensor in dict.fromkeys(layer.tensor for layer in layers if not layer.reads_input):
            changed = dict(base.items)
            readers = [layer.name for layer in layers if layer.tensor == tensor]
            for name in readers:
                changed[name] = LayerBits(
                    weight_bits=changed[name].weight_bits, activation_bits=bits
                )
            plan.append(([(name, "activation", bits) for name in readers], Allocation.of(changed)))
    return plan


@torch.no_grad()
def _loss(
    network: QuantizedNetwork, allocation: Allocation, images: torch.Tensor, labels: torch.Tensor
) -> float:
    network.set_allocation(allocation)
    total = 0.0
    for start in range(0, len(images), 256):
        part = slice(start, start + 256)
        total += float(
            functional.cross_entropy(network(images[part]), labels[part], reduction="sum")
        )
    return total / len(images)
