"""LayerTable: time and energy of each layer at each bit pair, and the rest as its own row."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer, model_serializer

from hardware.energy.energy import NO_METER
from hardware.measuring.measurement import MeasurementSource
from quant.allocation import Allocation
from quant.records.json_form import Plain

T = TypeVar("T")

_Pair = Annotated[
    tuple[int, int],
    BeforeValidator(lambda name: tuple(map(int, name.split("/")))),
    PlainSerializer("{0[0]}/{0[1]}".format, return_type=str),
]
PairRow = Mapping[_Pair, T]
"""`{(weight_bits, activation_bits): value}`; in JSON, `{"weight_bits/activation_bits": value}`."""
PairTable = Mapping[str, PairRow[T]]
"""By layer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerTable:
    """Additive model of a network's time on one device, from measured parts."""

    source: MeasurementSource
    disturbed_share: float
    """Share of the timings during which something else slowed the machine; near 0 when quiet."""
    overhead_us: float
    """What no layer accounts for: dispatch, pooling, additions, quantizing the input."""
    islands_us: Mapping[str, float] = field(default_factory=dict)
    """What float islands take of the overhead, by name; bits do not change it."""
    scale: float = 1.0
    """What the measured times were multiplied by; 1 unless `scale_times` was called."""
    times_us: Annotated[PairTable[float], Field(alias="layers")]
    """Microseconds of each layer at each bit pair, medians of quiet rounds."""
    spreads_us: PairTable[float] = field(default_factory=dict)
    """How far apart the quiet rounds of a time are; empty where nothing was repeated."""
    families: PairTable[str] = field(default_factory=dict)
    """Kernel family behind each time; empty in tables of older versions."""
    energy_source: str = NO_METER
    """Where energies are known from: a kind of meter, `modelled` or `none`."""
    overhead_uj: float = 0.0
    """Microjoules of what no layer accounts for."""
    energies_uj: PairTable[float] = field(default_factory=dict)
    """Gross microjoules of each layer at each bit pair (see `hardware.layers.energy`); empty where
    there is no meter."""

    def __post_init__(self) -> None:
        """Refuse times and energies that are no numbers: a store or a folder may hold anything.

        Raises:
            ValueError: names the first place.
        """
        whole = {"overhead_us": self.overhead_us, "overhead_uj": self.overhead_uj}
        for place, value in [
            *whole.items(),
            *self.islands_us.items(),
            *_entries(self.times_us),
            *_entries(self.energies_uj),
        ]:
            if not math.isfinite(value):
                raise ValueError(f"{place}: expected a finite number, found {value}")

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

    def scale_times(self, factor: float) -> "LayerTable":
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

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        return {"unit": "microseconds", **plain(self)}


def _entries(table: PairTable[float]) -> list[tuple[str, float]]:
    return [(layer, value) for layer, row in table.items() for value in row.values()]


def _times(table: PairTable[float], factor: float) -> PairTable[float]:
    return {
        layer: {pair: value * factor for pair, value in row.items()} for layer, row in table.items()
    }
