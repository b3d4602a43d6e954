"""Observation: what the policy sees before each decision, as one float32 vector in [-1, 1]."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from env.decisions.decisions import Decision, DecisionSpace, Part
from env.evaluating.seen_look import SeenLook
from env.sensitivity.sensitivities import Sensitivities, decision_rise
from hardware.layers.table import LayerTable
from quant.layers import INPUT_BITS, MAX_BITS, LayerSpec, width_name

LAST_DECISIONS = 4
"""How many of the latest decisions are shown one by one; older ones only in the means."""
_POSITION_PERIODS = 4
"""Pairs of sine and cosine of the position, each with half the period of the one before."""

ObservationVector = npt.NDArray[np.float32]


class _Resource:
    """One additive resource of the layers, by the layer table: time or energy."""

    def __init__(
        self, value: Callable[[str, int, int], float], layers: Sequence[LayerSpec]
    ) -> None:
        """Keep what tells a layer's value at a pair of bits."""
        self.value = value
        self.all8 = {layer.name: value(layer.name, INPUT_BITS, INPUT_BITS) for layer in layers}
        self.shares_of: dict[tuple[int, tuple[int, ...]], list[float]] = {}
        self._total = sum(self.all8.values())

    def share(self, names: Sequence[str]) -> float:
        """Return the share that some layers have of all, at 8 bits."""
        return sum(self.all8[name] for name in names) / max(self._total, 1e-9)


class Observer:
    """Builds the observations of one network. `names` says what each number is."""

    def __init__(
        self,
        space: DecisionSpace,
        table: LayerTable,
        sensitivities: Sensitivities,
        *,
        looks: bool = False,
    ) -> None:
        """Compute everything that does not change within an episode.

        Args:
            space: What may be decided.
            table: What each layer takes.
            sensitivities: Rise of the loss of each (layer, kind, bits).
            looks: Whether what the latest decision did to the loss is shown.
        """
        self._layers = {layer.name: layer for layer in space.layers}
        self._choices = space.widths
        self._decisions, self._parts, self._menu = space.decisions, space.parts, space.menu
        self._step_of = space.step_of
        self._touched = [self._touched_by(decision) for decision in space.decisions]
        self._time = _Resource(table.layer_us, space.layers)
        self._energy = _Resource(table.layer_uj, space.layers) if table.has_energies else None
        self._parameters = sum(layer.parameters for layer in space.layers)
        scale = max((max(0.0, rise) for rise in sensitivities.values()), default=0.0)
        self._looks, self._scale = looks, scale
        self._static = [
            self._facts(step) + self._sensitivity(decision, sensitivities, scale)
            for step, decision in enumerate(self._decisions)
        ]
        self.names = self._names()
        self.space = spaces.Box(-1.0, 1.0, (len(self.names),), np.float32)

    def _names(self) -> tuple[str, ...]:
        return (
            *("is_conv2d", "is_linear", "is_depthwise", "log_in_channels", "log_out_channels"),
            *(
                "kernel",
                "stride",
                "log_macs",
                "log_parameters",
                "share_of_time",
                "share_of_weights",
            ),
            *(("share_of_energy",) if self._energy else ()),
            *("decides_weights", "decides_activations"),
            *(f"sensitivity_{width_name(bits)}" for bits in self._choices),
            *(f"time_{width_name(bits)}" for bits in self._choices),
            *(f"energy_{width_name(bits)}" for bits in self._choices if self._energy),
            *(f"last_{back}_bits" for back in range(1, LAST_DECISIONS + 1)),
            *("mean_weight_bits", "mean_activation_bits"),
            *(f"{name}_left" for name in self._budgeted),
            *(f"{name}_budget" for name in self._budgeted),
            "progress",
            *(
                f"position_{wave}_{period}"
                for period in range(_POSITION_PERIODS)
                for wave in ("sin", "cos")
            ),
            *(("looked", "look_change", "look_beside_reference") if self._looks else ()),
        )

    @property
    def _budgeted(self) -> tuple[str, ...]:
        names = ("latency", "model_bytes", "energy")
        return names if self._energy else names[:2]

    def _touched_by(self, decision: Decision) -> tuple[str, ...]:
        """Return the layers that have a number which the decision decides."""
        return tuple(
            name
            for name, parts in self._parts.items()
            if any(part in decision.parts for part in parts)
        )

    def _facts(self, step: int) -> list[float]:
        """Return what the decision's first layer is, and the shares of all that it decides."""
        decision, touched = self._decisions[step], self._touched[step]
        layer = self._layers[decision.layer]
        parameters = sum(
            self._layers[name].parameters for name in {part.layer for part in decision.parts}
        )
        kinds = {"activation" if part.is_tensor else "weight" for part in decision.parts}
        return [
            float(layer.kind == "conv2d"),
            float(layer.kind == "linear"),
            float(layer.is_depthwise),
            math.log2(layer.in_channels) / 12.0,
            math.log2(layer.out_channels) / 12.0,
            layer.kernel[0] / 11.0,
            layer.stride[0] / 4.0,
            math.log10(max(1, layer.macs)) / 10.0,
            math.log10(max(1, layer.parameters)) / 8.0,
            self._time.share(touched),
            parameters / max(1, self._parameters),
            *([self._energy.share(touched)] if self._energy else []),
            float("weight" in kinds),
            float("activation" in kinds),
        ]

    def _sensitivity(
        self, decision: Decision, sensitivities: Sensitivities, scale: float
    ) -> list[float]:
        """Return each choice's loss rise as a share of the network's largest.

        The square root spreads the small values, among which most choices have to be told apart.
        A width that is not in the decision's menu has 1.
        """
        if scale <= 0.0:
            return [0.0] * len(self._choices)
        return [
            math.sqrt(max(0.0, decision_rise(sensitivities, decision, bits)) / scale)
            if bits in decision.menu
            else 1.0
            for bits in self._choices
        ]

    def _shares(self, resource: _Resource, step: int, bits: Sequence[int]) -> list[float]:
        """Return what each choice takes, as a share of twice the all-8 value, at most 1.

        Of all layers that the decision touches; numbers that are not decided yet count at their
        cheapest. A width that is not in the decision's menu has 1.
        """
        touched = self._touched[step]
        offered = [
            [self._widths(part, step, bits) for part in self._parts[name]] for name in touched
        ]
        key = (step, tuple(width[0] if len(width) == 1 else 0 for o in offered for width in o))
        if key not in resource.shares_of:
            menu, twice = self._decisions[step].menu, 2.0 * sum(resource.all8[n] for n in touched)
            resource.shares_of[key] = [
                1.0
                if choice not in menu
                else min(1.0, _least(resource, touched, offered, choice) / twice)
                if twice > 0
                else 0.0
                for choice in self._choices
            ]
        return resource.shares_of[key]

    def _widths(self, part: Part | None, step: int, bits: Sequence[int]) -> tuple[int, ...]:
        """Return what a number may be by now; nothing where this step decides it."""
        decided = None if part is None else self._step_of.get(part)
        if decided == step:
            return ()
        return self._menu(part) if decided is None or decided > step else (bits[decided],)

    def observe(
        self,
        bits: Sequence[int],
        left: Sequence[float],
        budget: Sequence[float],
        look: SeenLook | None = None,
    ) -> ObservationVector:
        """Return the observation before decision `len(bits)`.

        Args:
            bits: The bits decided so far, in the order of the decisions.
            left: What (latency, model bytes, energy) may still grow by over the cheapest
                completion, as a share of the distance from the cheapest allocation to all-8; 1
                when free.
            budget: Place of the (latency, model bytes, energy) budget between the cheapest
                allocation (0) and all-8 (1); 1 when free.
            look: What the latest decision did; None where nothing was seen.

        Returns:
            float32 `[len(names)]`. After the last decision the last decision's facts stay.
        """
        step = min(len(bits), len(self._decisions) - 1)
        last = [_share_of_8(width) for width in reversed(bits[-LAST_DECISIONS:])]
        last += [0.0] * (LAST_DECISIONS - len(last))
        progress = len(bits) / len(self._decisions)
        angles = [math.pi * progress * 2**period for period in range(_POSITION_PERIODS)]
        values = [
            *self._static[step],
            *self._shares(self._time, step, bits[:step]),
            *(self._shares(self._energy, step, bits[:step]) if self._energy else ()),
            *last,
            *self._means(bits),
            *left[: len(self._budgeted)],
            *budget[: len(self._budgeted)],
            progress,
            *(wave(angle) for angle in angles for wave in (math.sin, math.cos)),
            *(self._seen(look) if self._looks else ()),
        ]
        return np.clip(np.asarray(values, dtype=np.float32), -1.0, 1.0)

    def _seen(self, look: SeenLook | None) -> list[float]:
        """Return whether something was seen, and both differences on the sensitivities' scale."""
        if look is None:
            return [0.0, 0.0, 0.0]
        return [1.0, *(self._signed(rise) for rise in (look.change, look.beside_reference))]

    def _signed(self, rise: float | None) -> float:
        if rise is None or self._scale <= 0.0:
            return 0.0
        return math.copysign(math.sqrt(abs(rise) / self._scale), rise)

    def _means(self, bits: Sequence[int]) -> list[float]:
        """Return the mean weight bits and activation bits decided so far, over 8; 0 for none."""
        chosen: dict[str, list[float]] = {"weight": [], "activation": []}
        for decision, width in zip(self._decisions, bits, strict=False):
            for part in decision.parts:
                chosen["activation" if part.is_tensor else "weight"].append(_share_of_8(width))
        return [sum(found) / len(found) if found else 0.0 for found in chosen.values()]


def _share_of_8(width: int) -> float:
    """Return a width as a share of 8 bits, of which float has 1.

    As 32 bits it would drown the other layers in every mean; what it costs is in what is left.
    """
    return min(width, MAX_BITS) / MAX_BITS


def _least(
    resource: _Resource,
    layers: Sequence[str],
    offered: Sequence[Sequence[tuple[int, ...]]],
    choice: int,
) -> float:
    """Return the least that layers take with what is offered, or the choice where nothing is."""
    return sum(
        min(
            resource.value(name, weight, activation)
            for weight in weights or (choice,)
            for activation in activations or (choice,)
        )
        for name, (weights, activations) in zip(layers, offered, strict=True)
    )
