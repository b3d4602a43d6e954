"""LayerTable: measured microseconds of each layer at each bit pair, and the rest as its own row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hardware.measurement import MeasurementSource
from quant.allocation import Allocation

__all__ = ["LayerTable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerTable:
    """Additive model of a network's time on one device, from measured parts."""

    times_us: Mapping[str, Mapping[tuple[int, int], float]]
    """`{layer: {(weight_bits, activation_bits): microseconds}}`, medians of quiet rounds."""
    overhead_us: float
    """What no layer accounts for: dispatch, pooling, additions, quantizing the input."""
    source: MeasurementSource = "measured"
    disturbed_share: float = 0.0
    """Share of the timings during which something else slowed the machine; near 0 when quiet."""

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

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document: `{layer: {"w/a": microseconds}}`, the overhead, the source."""
        return {
            "unit": "microseconds",
            "source": self.source,
            "disturbed_share": self.disturbed_share,
            "overhead_us": self.overhead_us,
            "layers": {
                layer: {f"{weight}/{activation}": us for (weight, activation), us in row.items()}
                for layer, row in self.times_us.items()
            },
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "LayerTable":
        """Read a document written by `to_dict`."""
        return cls(
            times_us={
                layer: {_pair(name): us for name, us in row.items()}
                for layer, row in document["layers"].items()
            },
            overhead_us=document["overhead_us"],
            source=document["source"],
            disturbed_share=document["disturbed_share"],
        )


def _pair(name: str) -> tuple[int, int]:
    weight, activation = name.split("/")
    return int(weight), int(activation)
