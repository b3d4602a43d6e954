"""Prints which share of a network's multiplications is in integers, and what rounding costs it.

    python -m tools.integer_share
    python -m tools.integer_share vit-tiny convnext-atto --no-sqnr

Weights are drawn from a seed, and the statistics of batch norms are those of photographs, which
come with scikit-learn. Multiplications are counted as PyTorch's flop counter does. SQNR is that of
the network's outputs with 8 bits everywhere against float, before any retraining. Beside it stands
what noise of 50 dB in the inputs alone comes to at the outputs of the float network: where that is
little, the network multiplies every error, and no rounding is to blame.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
import tyro
from sklearn.datasets import load_sample_images
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from env.tasks.networks.catalogue import NETWORKS
from quant.allocation import Allocation
from quant.capture.capture import capture
from quant.convert import convert
from quant.outputs import Outputs
from quant.testing import prepare_calibrated
from quant.torch_integer import integer_outputs
from tools.shown_networks import SHOWN

_MADE = {**NETWORKS, **SHOWN}
_SIDE = 224
_CLASSES = 1000
_NOISE_DB = 50.0
_INPUTS: Mapping[str, tuple[int, ...]] = {
    "mobilevit-xxs": (3, 256, 256),
    "text-encoder": (64,),
    "u-net": (3, 128, 128),
    "detector": (3, 160, 160),
    "mlperf-resnet8": (3, 32, 32),
    "mlperf-ds-cnn": (1, 49, 10),
    "mlperf-mobilenet": (3, 96, 96),
    "mlperf-autoencoder": (640,),
}
"""Inputs of the networks that are not for 3x224x224."""
_OUTPUTS = {
    **{"mlperf-autoencoder": 640, "mlperf-ds-cnn": 12, "mlperf-resnet8": 10},
    **{"text-encoder": 2, "u-net": 21, "detector": 80},
}
_DEFAULT = (
    *("vit-tiny", "deit-tiny", "convnext-atto", "mobilevit-xxs", "text-encoder", "mobilenetv2"),
    *("resnet18", *SHOWN),
    *("mlperf-resnet8", "mlperf-ds-cnn", "mlperf-mobilenet", "mlperf-autoencoder"),
)
_IMAGES = 16
_VOCABULARY = 1024
_SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What is computed where, of one input."""

    multiplications: int
    """Of the float network."""
    in_layers: float
    """Share of them that is in integer layers."""
    in_products: float
    """Share of them that is in integer products of two computed tensors."""
    left: dict[str, int]
    """Operators that stay in float, without those that only move values, and how often."""
    islands: int

    @property
    def in_integers(self) -> float:
        """Share of the multiplications that is in integers."""
        return self.in_layers + self.in_products


def seeded_network(name: str) -> tuple[nn.Module, torch.Tensor]:
    """Return a network with seeded weights, and inputs that it has seen."""
    torch.manual_seed(_SEED)
    shape = _INPUTS.get(name, (3, _SIDE, _SIDE))
    module = _MADE[name](in_channels=shape[0], classes=_OUTPUTS.get(name, _CLASSES))
    inputs = _inputs(name, shape)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                part.momentum = None  # a plain mean: of one batch, its own statistics
        module.train()(inputs)
    return module.eval(), inputs


def integer_share(name: str) -> Share:
    """Return the shares of a network."""
    module, inputs = seeded_network(name)
    # Step by step: the counter knows nothing of attention in one piece on a CPU.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        module(inputs[:1])
    graph, _ = capture(module, inputs[:1])
    total = sum(counter.get_flop_counts()["Global"].values()) // 2
    return Share(
        multiplications=total,
        in_layers=sum(layer.macs for layer in graph.layers if layer.has_weights) / total,
        in_products=sum(layer.macs for layer in graph.layers if not layer.has_weights) / total,
        left=dict(Counter(name for island in graph.islands for name in island.operators)),
        islands=len(graph.islands),
    )


@torch.no_grad()
def signal_to_noise(name: str) -> float:
    """Return how far a network's integer outputs are from float with 8 bits, in decibels."""
    module, inputs = seeded_network(name)
    network = prepare_calibrated(module, inputs)
    network.set_allocation(Allocation.uniform(network.layers, 8))
    return _decibels(module(inputs), integer_outputs(convert(network), inputs))


@torch.no_grad()
def noise_handed_on(name: str) -> float | None:
    """Return what noise in the inputs comes to at the float network's outputs, in decibels.

    None where inputs are numbers of tokens.
    """
    if name == "text-encoder":
        return None
    module, inputs = seeded_network(name)
    noise = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(_SEED))
    share = 10 ** (-_NOISE_DB / 10) * inputs.square().mean() / noise.square().mean()
    return _decibels(module(inputs), module(inputs + share.sqrt() * noise))


def _decibels(outputs: Outputs, others: Outputs) -> float:
    first, second = (
        torch.cat([one.flatten() for one in ([made] if torch.is_tensor(made) else made)]).double()
        for made in (outputs, others)
    )
    return float(10 * torch.log10(first.square().sum() / (second - first).square().sum()))


def _millions(count: int) -> str:
    """Return a number in millions, to three digits or whole."""
    return f"{count / 1e6:.0f}" if count >= 100e6 else f"{count / 1e6:.3g}"


def _inputs(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(_SEED)
    if name == "text-encoder":
        return torch.randint(_VOCABULARY, (_IMAGES, *shape), generator=generator).float()
    photographs = [
        torch.from_numpy(photograph.copy()).permute(2, 0, 1) / 255.0
        for photograph in load_sample_images().images
    ]
    if len(shape) == 1:  # windows of the photographs' grey values, row after row
        rows = torch.cat([photograph.mean(0).flatten() for photograph in photographs])
        starts = torch.randint(len(rows) - shape[0], (_IMAGES,), generator=generator)
        return torch.stack([rows[start : start + shape[0]] for start in starts.tolist()])
    channels, height, width = shape
    crops = []
    for number in range(_IMAGES):
        photograph = photographs[number % len(photographs)]
        top, left = (
            int(torch.randint(size - side, (1,), generator=generator))
            for size, side in zip(photograph.shape[1:], (height, width), strict=True)
        )
        crops.append(photograph[:channels, top : top + height, left : left + width])
    return (torch.stack(crops) - 0.45) / 0.225


def main(
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = _DEFAULT, sqnr: bool = True
) -> None:
    """Print a table.

    Args:
        names: Networks of the catalogue, or of `tools.shown_networks`.
        sqnr: Whether to compute the outputs at 8 bits, which takes longer.
    """
    print(
        "| network | million multiplications | in integers | of them attention's | SQNR "
        f"| noise of {_NOISE_DB:.0f} dB | float |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in names:
        share = integer_share(name)
        left = ", ".join(f"{count} {operator}" for operator, count in share.left.items())
        noise = f"{signal_to_noise(name):.1f} dB" if sqnr else "-"
        handed_on = noise_handed_on(name) if sqnr else None
        noise += " | -" if handed_on is None else f" | {handed_on:.1f} dB"
        print(
            f"| `{name}` | {_millions(share.multiplications)} | {share.in_integers:.1%} "
            f"| {share.in_products:.1%} | {noise} | {left or 'nothing'} |",
            flush=True,
        )


if __name__ == "__main__":
    tyro.cli(main)
