"""Drawn networks: shapes of plain, residual and depthwise ones, and what their layers might take.

Nothing is trained or timed: these are shapes, and times of the form that kernels have.
"""

from itertools import product

import numpy as np
from numpy.random import Generator

from env.decisions.decisions import DecisionSpace
from env.decisions.layer_rules import parse_rules
from env.decisions.space import decision_space
from hardware.layers.table import LayerTable
from quant.layers import MAX_BITS, MIN_BITS, LayerSpec

_LEAST_LAYERS, _MOST_LAYERS = 4, 60
_MENUS = ((2, 3, 4, 5, 6, 7, 8), (2, 3, 4, 8), (2, 3, 4), (2, 4, 8), (3, 4, 6, 8), (4, 5, 6, 7, 8))
_PAIRED = 0.2
"""Share of networks whose weights and activations are decided together."""
_PLATEAUS = 0.25, 1.0
"""How often a bit less takes the same time, at least and at most."""
_FURTHER = 2
"""Most kernel families that a kind of layers has beside the first."""
_NOISES = (0.0, 0.01, 0.03)
"""Relative errors of measured times."""
_PAIRS = tuple(product(range(MIN_BITS, MAX_BITS + 1), repeat=2))
_Times = dict[tuple[int, int], float]


def draw_space(rng: Generator) -> DecisionSpace:
    """Return the decisions of a drawn network."""
    count = int(np.exp(rng.uniform(np.log(_LEAST_LAYERS), np.log(_MOST_LAYERS + 1))))
    kind = rng.choice(["plain", "residual", "depthwise"])
    layers = _Drawn(rng).layers(str(kind), count)
    menu = _MENUS[rng.integers(len(_MENUS))]
    paired = parse_rules(["l* paired"]) if rng.random() < _PAIRED else ()
    return decision_space(layers, menu, paired)


class _Drawn:
    """Layers one after the other, ever smaller images with ever more channels."""

    def __init__(self, rng: Generator) -> None:
        self._rng = rng
        self._channels = int(rng.choice([8, 16, 24, 32, 64]))
        self._size = int(rng.choice([16, 28, 32, 56, 64]))
        self._made: list[LayerSpec] = []
        self._tensor = "input"

    def layers(self, kind: str, count: int) -> tuple[LayerSpec, ...]:
        self._conv(3, self._channels, inputs=3)
        while len(self._made) < count - 1:
            shrinks = self._rng.random() < 0.25 and self._size >= 4
            out = self._channels * (2 if shrinks and self._channels < 512 else 1)
            stride = 2 if shrinks else 1
            if kind == "plain":
                self._conv(int(self._rng.choice([1, 3, 3, 3, 5])), out, stride=stride)
            elif kind == "residual":
                before = self._tensor
                first_channels, size = self._channels, self._size
                self._conv(3, out, stride=stride)
                self._conv(3, out)
                if shrinks:  # a shortcut that reads what the block reads
                    after = self._tensor, self._channels, self._size
                    self._tensor, self._channels, self._size = before, first_channels, size
                    self._conv(1, out, stride=stride)
                    self._tensor, self._channels, self._size = after
            else:
                self._conv(3, self._channels, stride=stride, groups=self._channels)
                self._conv(1, out)
        self._conv(1, 10, linear=True)
        return tuple(self._made)

    def _conv(
        self,
        kernel: int,
        out: int,
        *,
        stride: int = 1,
        groups: int = 1,
        inputs: int = 0,
        linear: bool = False,
    ) -> None:
        inputs, size = inputs or self._channels, self._size
        place = 1 if linear else -(-size // stride)
        products = inputs // groups * kernel * kernel
        self._made.append(
            LayerSpec(
                name=f"l{len(self._made)}",
                kind="linear" if linear else "conv2d",
                in_channels=inputs,
                out_channels=out,
                kernel=(kernel, kernel),
                stride=(stride, stride),
                padding=(kernel // 2, kernel // 2),
                groups=groups,
                input_shape=(inputs,) if linear else (inputs, size, size),
                output_shape=(out,) if linear else (out, place, place),
                tensor=self._tensor,
                reads_input=self._tensor == "input",
                macs=products * out * place * place,
                parameters=products * out,
            )
        )
        self._tensor, self._channels, self._size = f"t{len(self._made)}", out, place


def draw_times(layers: tuple[LayerSpec, ...], rng: Generator) -> LayerTable:
    """Return drawn times; layers of one kind share their surface, as they share kernel families."""
    of_kind: dict[tuple[object, ...], tuple[_Times, float, float]] = {}
    times = {}
    for layer in layers:
        kind = (layer.kernel, layer.stride, layer.is_depthwise, layer.kind)
        if kind not in of_kind:
            rate = 1e-5 * np.exp(0.5 * rng.standard_normal()) * (6.0 if layer.is_depthwise else 1.0)
            of_kind[kind] = (_draw_surface(rng), float(rate), float(rng.choice(_NOISES)))
        surface, rate, noise = of_kind[kind]
        own = layer.macs * rate * np.exp(0.1 * rng.standard_normal())
        noises = np.exp(noise * rng.standard_normal(len(surface)))
        times[layer.name] = {
            pair: float(own * share * off)
            for (pair, share), off in zip(surface.items(), noises, strict=True)
        }
    return LayerTable(
        times_us=times,
        overhead_us=float(0.05 * sum(row[8, 8] for row in times.values())),
        source="simulated",
        disturbed_share=0.0,
    )


def _draw_surface(rng: Generator) -> _Times:
    """Return times at each (weight bits, activation bits), as shares of that at 8 of both.

    A device takes the fastest of its kernels, of which some have no more than so many bits.
    """
    surface = _draw_family(rng)
    for _ in range(rng.integers(_FURTHER + 1)):
        further, beside = _draw_family(rng), rng.uniform(0.5, 1.2)
        weights, activations = rng.integers(MIN_BITS, MAX_BITS + 1, 2)
        for w, a in _PAIRS:
            if w <= weights and a <= activations:
                surface[w, a] = min(
                    surface[w, a], beside * further[w, a] / further[weights, activations]
                )
    return {pair: share / surface[MAX_BITS, MAX_BITS] for pair, share in surface.items()}


def _draw_family(rng: Generator) -> _Times:
    """Return times of one kernel family.

    Stairs over the larger width and less over the smaller one, where values are unpacked to it;
    over the sum of both, where products are added up in words as long as they fit; or over each,
    where planes of bits meet.
    """
    form = rng.choice(["larger", "sum", "each"])
    if form == "larger":
        stairs, share = _stairs(rng, MAX_BITS), rng.uniform(0.5, 1.0)
        surface = {
            (w, a): share * stairs[max(w, a)] + (1 - share) * stairs[min(w, a)] for w, a in _PAIRS
        }
    elif form == "sum":
        stairs = _stairs(rng, 2 * MAX_BITS)
        surface = {(w, a): stairs[w + a] for w, a in _PAIRS}
    else:
        rows, columns = (_stairs(rng, MAX_BITS) for _ in range(2))
        surface = {(w, a): rows[w] * columns[a] for w, a in _PAIRS}
    return surface


def _stairs(rng: Generator, most: int) -> dict[int, float]:
    """Return the time at each width, or sum of widths, beside that at `most`, in steps."""
    stairs, at = {most: 1.0}, 1.0
    plateau = rng.uniform(*_PLATEAUS)
    lowest = 0.6 if most == MAX_BITS else 0.75
    for bits in range(most - 1, MIN_BITS - 1, -1):
        if rng.random() > plateau:
            at *= float(rng.uniform(lowest, 0.98))
        stairs[bits] = at
    return stairs
