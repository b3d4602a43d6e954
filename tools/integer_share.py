"""Prints which share of a network's multiplications is in integer layers, as PyTorch counts them.

    python -m tools.integer_share vit-tiny convnext-atto

Weights are random: counts do not depend on them.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Annotated

import torch
import tyro
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from env.tasks.networks.catalogue import NETWORKS
from quant.capture.capture import capture

_SIDE = 224
_CLASSES = 1000
_DEFAULT = ("vit-tiny", "deit-tiny", "convnext-atto", "mobilenetv2", "resnet18")


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What is computed where, of one image."""

    multiplications: int
    """Of the float network."""
    in_layers: float
    """Share of them that is in integer layers."""
    of_attention: float
    """Share of them that is products of two computed tensors."""
    left: dict[str, int]
    """Operators that stay in float, without those that only move values, and how often."""


def integer_share(name: str) -> Share:
    """Return the shares of a network of the catalogue, at 3x224x224."""
    module = NETWORKS[name](in_channels=3, classes=_CLASSES).eval()
    image = torch.randn(1, 3, _SIDE, _SIDE)
    # Step by step: the counter knows nothing of attention in one piece on a CPU.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        module(image)
    graph, _ = capture(module, image)
    counts = {str(name): flops for name, flops in counter.get_flop_counts()["Global"].items()}
    total, layers = sum(counts.values()), 2 * sum(layer.macs for layer in graph.layers)
    left = Counter(name for island in graph.islands for name in island.operators)
    return Share(
        multiplications=total // 2,
        in_layers=layers / total,
        of_attention=counts.get("aten.bmm", 0) / total,
        left=dict(left),
    )


def main(names: Annotated[tuple[str, ...], tyro.conf.Positional] = _DEFAULT) -> None:
    """Print a table.

    Args:
        names: Networks of the catalogue, for 224x224.
    """
    print(
        "| network | million multiplications | in integer layers | attention's products | float |"
    )
    print("|---|---|---|---|---|")
    for name in names:
        share = integer_share(name)
        left = ", ".join(f"{count} {operator}" for operator, count in share.left.items())
        print(
            f"| `{name}` | {share.multiplications / 1e6:.0f} | {share.in_layers:.1%} "
            f"| {share.of_attention:.1%} | {left or 'nothing'} |"
        )


if __name__ == "__main__":
    tyro.cli(main)
