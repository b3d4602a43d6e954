"""LayerTable: time and energy of each layer at each bit pair, and the rest as its own row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hardware.energy.energy import NO_METER
from hardware.measuring.measurement import MeasurementSource
from quant.allocation import Allocation

__all__ = ["LayerTable", "PairTable"]

T = TypeVar("T")

PairTable = Mapping[str, Mapping[tuple[int, int], T]]
"""`{layer: {(weight_bits, activation_bits): value}}`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerTable:
    """Additive model of a network's time on one device, from measured parts."""

    times_us: PairTable[float]
    """Microseconds of each layer at each bit pair, medians of quiet rounds."""
    overhead_us: float
    """What no layer accounts for: dispatch, pooling, additions, quantizing the input."""
    islands_us: Mapping[str, float] = field(default_factory=dict)
    """What float islands take of the overhead, by name; bits do not change it."""
    source: MeasurementSource = "measured"
    disturbed_share: float = 0.0
    """Share of the timings during which something else slowed the machine; near 0 when quiet."""
    spreads_us: PairTable[float] = field(default_factory=dict)
    """How far apart the quiet rounds of a time are; empty where nothing was repeated."""
    families: PairTable[str] = field(default_factory=dict)
    """Kernel family behind each time; empty in tables of older versions."""
    scale: float = 1.0
    """What the measured times were multiplied by; 1 unless `scaled` was called."""
    energies_uj: PairTable[float] = field(default_factory=dict)
    """Gross microjoules of each layer at each bit pair (see `hardware.layers.energy`); empty where
    there is no meter."""
    overhead_uj: float = 0.0
    """Microjoules of what no layer accounts for."""
    energy_source: str = NO_METER
    """Where energies are known from: a kind of meter, `modelled` or `none`."""

    def layer_us(self, layer: str, weight_bits: int, activation_bits: int) -> float:
        """Return the measured time of one layer at one bit pair."""
        return self.times_us[layer][weight_bits, activation_bits]

    def predict_ms(self, allocation: Allocation) -> float:
        """Return the sum of the layers' times and the overhead, in milliseconds."""
        total_us = self.overhead_us + sum(
            self.layer_us(name, bits.weight_bits, bits.activation_bits)
            for name, bits in allocation.items
        )
        return total_us / 1000.0

    @property
    def has_energies(self) -> bool:
        """Whether the table tells energies."""
        return bool(self.energies_uj)

    def layer_uj(self, layer: str, weight_bits: int, activation_bits: int) -> float:
        """Return the energy of one layer at one bit pair; 0 where there is no meter."""
        if not self.has_energies:
            return 0.0
        return self.energies_uj[layer][weight_bits, activation_bits]

    def predict_mj(self, allocation: Allocation) -> float | None:
        """Return the sum of the layers' energies and the overhead; None without a meter."""
        if not self.has_energies:
            return None
        total_uj = self.overhead_uj + sum(
            self.layer_uj(name, bits.weight_bits, bits.activation_bits)
            for name, bits in allocation.items
        )
        return total_uj / 1000.0

    def scaled(self, factor: float) -> "LayerTable":
        """Return the table with every time multiplied by `factor`."""
        return replace(
            self,
            times_us=_times(self.times_us, factor),
            spreads_us=_times(self.spreads_us, factor),
            overhead_us=self.overhead_us * factor,
            islands_us={name: value * factor for name, value in self.islands_us.items()},
            scale=self.scale * factor,
        )

    def with_scaled_energies(self, factor: float) -> "LayerTable":
        """Return the table with every energy multiplied by `factor`."""
        return replace(
            self,
            energies_uj=_times(self.energies_uj, factor),
            overhead_uj=self.overhead_uj * factor,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document: `{layer: {"w/a": value}}` for each kind of value."""
        return {
            "unit": "microseconds",
            "source": self.source,
            "disturbed_share": self.disturbed_share,
            "overhead_us": self.overhead_us,
            "islands_us": dict(self.islands_us),
            "scale": self.scale,
            "layers": _to_names(self.times_us),
            "spreads_us": _to_names(self.spreads_us),
            "families": _to_names(self.families),
            "energy_source": self.energy_source,
            "overhead_uj": self.overhead_uj,
            "energies_uj": _to_names(self.energies_uj),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "LayerTable":
        """Read a document written by `to_dict`."""
        return cls(
            times_us=_from_names(document["layers"], float),
            spreads_us=_from_names(document.get("spreads_us", {}), float),
            families=_from_names(document.get("families", {}), str),
            overhead_us=document["overhead_us"],
            islands_us=document.get("islands_us", {}),
            source=document["source"],
            disturbed_share=document["disturbed_share"],
            scale=document.get("scale", 1.0),
            energies_uj=_from_names(document.get("energies_uj", {}), float),
            overhead_uj=document.get("overhead_uj", 0.0),
            energy_source=document.get("energy_source", NO_METER),
        )


def _times(table: PairTable[float], factor: float) -> PairTable[float]:
    return {
        layer: {pair: value * factor for pair, value in row.items()} for layer, row in table.items()
    }


def _to_names(table: PairTable[T]) -> dict[str, dict[str, T]]:
    return {
        layer: {f"{weight}/{activation}": value for (weight, activation), value in row.items()}
        for layer, row in table.items()
    }


def _from_names(
    document: Mapping[str, Mapping[str, Any]], kind: Callable[[Any], T]
) -> dict[str, dict[tuple[int, int], T]]:
    return {
        layer: {_pair(name): kind(value) for name, value in row.items()}
        for layer, row in document.items()
    }


def _pair(name: str) -> tuple[int, int]:
    weight, activation = name.split("/")
    return int(weight), int(activation)
