"""Drawn networks: shapes of plain, residual and depthwise ones, and what their layers might take.

Nothing is trained or timed: these are shapes, and times of the form that kernels have.
"""

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
_PLATEAU = 0.5
"""How often a bit less takes the same time."""
_WIDTHS = range(MIN_BITS, MAX_BITS + 1)


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
    """Return drawn times: stairs over the larger width, and less over the smaller one.

    Layers of one kind share their stairs, as they share a kernel family.
    """
    of_kind: dict[tuple[object, ...], tuple[dict[int, float], float, float]] = {}
    times = {}
    for layer in layers:
        kind = (layer.kernel, layer.stride, layer.is_depthwise, layer.kind)
        if kind not in of_kind:
            rate = 1e-5 * np.exp(0.5 * rng.standard_normal()) * (6.0 if layer.is_depthwise else 1.0)
            of_kind[kind] = (_stairs(rng), float(rng.uniform(0.5, 1.0)), float(rate))
        stairs, share, rate = of_kind[kind]
        own = layer.macs * rate * np.exp(0.1 * rng.standard_normal())
        times[layer.name] = {
            (weight, activation): float(
                own * (share * stairs[max(weight, activation)])
                + own * (1 - share) * stairs[min(weight, activation)]
            )
            for weight in _WIDTHS
            for activation in _WIDTHS
        }
    return LayerTable(
        times_us=times,
        overhead_us=float(0.05 * sum(row[8, 8] for row in times.values())),
        source="simulated",
        disturbed_share=0.0,
    )


def _stairs(rng: Generator) -> dict[int, float]:
    """Return the time at each width beside that at 8 bits, in steps."""
    stairs, at = {MAX_BITS: 1.0}, 1.0
    for bits in range(MAX_BITS - 1, MIN_BITS - 1, -1):
        if rng.random() > _PLATEAU:
            at *= float(rng.uniform(0.6, 0.97))
        stairs[bits] = at
    return stairs
