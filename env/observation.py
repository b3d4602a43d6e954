"""Observation: what the policy sees before each decision, as one float32 vector in [-1, 1]."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from env.decisions.decisions import Decision, decision_sequence
from env.sensitivity.sensitivities import Sensitivities
from hardware.layers.table import LayerTable
from quant.layers import INPUT_BITS, MAX_BITS, LayerSpec

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
        self.shares_of: dict[tuple[Decision, int | None], list[float]] = {}
        self._total = sum(self.all8.values())

    def share(self, names: Sequence[str]) -> float:
        """Return the share that some layers have of all, at 8 bits."""
        return sum(self.all8[name] for name in names) / max(self._total, 1e-9)


class Observer:
    """Builds the observations of one network. `names` says what each number is."""

    def __init__(
        self,
        layers: Sequence[LayerSpec],
        bit_choices: Sequence[int],
        table: LayerTable,
        sensitivities: Sensitivities,
    ) -> None:
        """Compute everything that does not change within an episode."""
        self._layers = {layer.name: layer for layer in layers}
        self._choices = tuple(bit_choices)
        self._decisions = decision_sequence(layers)
        self._readers: dict[str, list[str]] = {}
        for layer in layers:
            self._readers.setdefault(layer.tensor, []).append(layer.name)
        self._inputs = {layer.tensor for layer in layers if layer.reads_input}
        self._activation_step = {
            decision.tensor: step
            for step, decision in enumerate(self._decisions)
            if decision.kind == "activation"
        }
        self._time = _Resource(table.layer_us, layers)
        self._energy = _Resource(table.layer_uj, layers) if table.has_energies else None
        self._parameters = sum(layer.parameters for layer in layers)
        scale = max((max(0.0, rise) for rise in sensitivities.values()), default=0.0)
        self._static = [
            self._facts(decision) + self._sensitivity(decision, sensitivities, scale)
            for decision in self._decisions
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
            *(f"sensitivity_{bits}" for bits in self._choices),
            *(f"time_{bits}" for bits in self._choices),
            *(f"energy_{bits}" for bits in self._choices if self._energy),
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
        )

    @property
    def _budgeted(self) -> tuple[str, ...]:
        names = ("latency", "model_bytes", "energy")
        return names if self._energy else names[:2]

    def _facts(self, decision: Decision) -> list[float]:
        layer = self._layers[decision.layer]
        readers = self._readers[decision.tensor] if decision.kind == "activation" else [layer.name]
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
            self._time.share(readers),
            layer.parameters / max(1, self._parameters),
            *([self._energy.share(readers)] if self._energy else []),
            float(decision.kind == "weight"),
            float(decision.kind == "activation"),
        ]

    def _sensitivity(
        self, decision: Decision, sensitivities: Sensitivities, scale: float
    ) -> list[float]:
        """Return each choice's loss rise as a share of the network's largest.

        The square root spreads the small values, among which most choices have to be told apart.
        """
        if scale <= 0.0:
            return [0.0] * len(self._choices)
        return [
            math.sqrt(max(0.0, sensitivities[decision.layer, decision.kind, bits]) / scale)
            for bits in self._choices
        ]

    def _shares(self, resource: "_Resource", step: int, bits: Sequence[int]) -> list[float]:
        """Return what each choice takes, as a share of twice the all-8 value, at most 1.

        Bits that are not decided yet count at their cheapest.
        """
        decision = self._decisions[step]
        known: int | None
        if decision.kind == "activation":
            known = bits[-1]
        elif decision.tensor in self._inputs:
            known = INPUT_BITS
        else:
            decided = self._activation_step[decision.tensor]
            known = bits[decided] if decided < step else None
        key = (decision, known)
        if key not in resource.shares_of:
            activations = decision.kind == "activation"
            of_choice = self._of_activations if activations else self._of_weights
            readers = (
                self._readers[decision.tensor]
                if decision.kind == "activation"
                else [decision.layer]
            )
            twice = 2.0 * sum(resource.all8[name] for name in readers)
            resource.shares_of[key] = [
                min(1.0, of_choice(resource, decision, choice, known) / twice) if twice > 0 else 0.0
                for choice in self._choices
            ]
        return resource.shares_of[key]

    def _of_weights(
        self, resource: "_Resource", decision: Decision, choice: int, known: int | None
    ) -> float:
        widths = self._choices if known is None else (known,)
        return min(resource.value(decision.layer, choice, bits) for bits in widths)

    def _of_activations(
        self, resource: "_Resource", decision: Decision, choice: int, known: int | None
    ) -> float:
        assert known is not None
        first, *others = self._readers[decision.tensor]
        return resource.value(first, known, choice) + sum(
            min(resource.value(name, bits, choice) for bits in self._choices) for name in others
        )

    def observe(
        self,
        bits: Sequence[int],
        left: Sequence[float],
        budget: Sequence[float],
    ) -> ObservationVector:
        """Return the observation before decision `len(bits)`.

        Args:
            bits: The bits decided so far, in the order of the decisions.
            left: What (latency, model bytes, energy) may still grow by over the cheapest
                completion, as a share of the distance from the cheapest allocation to all-8; 1
                when free.
            budget: Place of the (latency, model bytes, energy) budget between the cheapest
                allocation (0) and all-8 (1); 1 when free.

        Returns:
            float32 `[len(names)]`. After the last decision the last decision's facts stay.
        """
        step = min(len(bits), len(self._decisions) - 1)
        last = [width / MAX_BITS for width in reversed(bits[-LAST_DECISIONS:])]
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
        ]
        return np.clip(np.asarray(values, dtype=np.float32), -1.0, 1.0)

    def _means(self, bits: Sequence[int]) -> list[float]:
        """Return the mean weight bits and activation bits decided so far, over 8; 0 for none."""
        means = []
        for kind in ("weight", "activation"):
            chosen = [
                width
                for decision, width in zip(self._decisions, bits, strict=False)
                if decision.kind == kind
            ]
            means.append(sum(chosen) / len(chosen) / MAX_BITS if chosen else 0.0)
        return means
