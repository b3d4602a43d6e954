"""Times of layers that nobody measured: as those of measured layers like them, or by a formula."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agents.judging.beliefs import Beliefs
from hardware.graph.tensor_widths import BitPair
from hardware.layers.table import LayerTable
from hardware.simulated import simulated_layer_us
from quant.layers import INPUT_BITS, LayerSpec

_FORMULA = "a formula, which stands for no device"
_OTHER_KIND = 4.0
"""How far apart layers of different kinds count, in logarithms of their sizes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownLayer:
    """A layer whose times were measured."""

    layer: LayerSpec
    times_us: dict[BitPair, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """A layer table, and where it comes from, in words."""

    table: LayerTable
    source: str


def known_layers(searched: Iterable[Beliefs]) -> list[KnownLayer]:
    """Return the measured layers of finished searches on one device."""
    return [
        KnownLayer(layer=layer, times_us=dict(beliefs.table.times_us[layer.name]))
        for beliefs in searched
        for layer in beliefs.layers
    ]


def estimate_times(
    layers: Sequence[LayerSpec], widths: Sequence[int], known: Sequence[KnownLayer]
) -> Times:
    """Return times of a network's layers.

    Each takes what the measured layer takes that is most like it, by its kind and its sizes, in
    proportion to the multiplications. With none that has the widths, a formula answers.

    Args:
        layers: Of the network.
        widths: That may be chosen, and 8.
        known: Layers that were measured on the device.
    """
    usable = [one for one in known if _has(one, widths)]
    if not usable:
        times = {layer.name: _by_formula(layer, widths) for layer in layers}
        return Times(table=_table(times), source=_FORMULA)
    times = {}
    for layer in layers:
        near = min(usable, key=lambda one: _distance(layer, one.layer))
        share = layer.macs / near.layer.macs
        times[layer.name] = {
            pair: share * near.times_us[_read(near, pair)] for pair in layer.bit_pairs(widths)
        }
    return Times(
        table=_table(times), source=f"those of the most similar of {len(usable)} measured layers"
    )


def _has(known: KnownLayer, widths: Sequence[int]) -> bool:
    return all(known.times_us.get(pair, 0.0) > 0.0 for pair in known.layer.bit_pairs(widths))


def _read(known: KnownLayer, pair: BitPair) -> BitPair:
    """Return the pair at which a known layer stands for one.

    Some read the input, at 8 bits, and some multiply a tensor by itself.
    """
    weights, activations = pair
    if known.layer.is_square:
        weights = activations = max(pair)
    return (
        INPUT_BITS if known.layer.right_reads_input else weights,
        INPUT_BITS if known.layer.reads_input else activations,
    )


def _distance(one: LayerSpec, other: LayerSpec) -> float:
    """Return how far apart two layers are, by what decides how fast their kernels are."""
    sizes = ("macs", "parameters", "out_channels", "products")
    far = sum(
        abs(math.log(max(1, getattr(one, name)) / max(1, getattr(other, name)))) for name in sizes
    )
    for name in ("kind", "kernel", "stride", "is_depthwise", "reads_input"):
        far += _OTHER_KIND * (getattr(one, name) != getattr(other, name))
    return far


def _by_formula(layer: LayerSpec, widths: Sequence[int]) -> dict[BitPair, float]:
    return {pair: simulated_layer_us(layer.macs, *pair) for pair in layer.bit_pairs(widths)}


def _table(times: dict[str, dict[BitPair, float]]) -> LayerTable:
    return LayerTable(times_us=times, overhead_us=0.0, source="simulated", disturbed_share=0.0)
