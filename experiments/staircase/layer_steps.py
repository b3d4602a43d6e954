"""Steps: what each layer takes at each bit pair, and which kernels that is."""

from dataclasses import dataclass
from typing import Any

from pydantic import model_serializer

from hardware.graph.layer_shape import LayerShape, layer_shape
from hardware.layers.table import LayerTable, PairRow
from quant.deploy_graph import DeployGraph
from quant.layers import INPUT_BITS, MAX_BITS
from quant.records.json_form import Plain


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerSteps:
    """One layer's times. Where it reads the network's input, activations keep their 8 bits."""

    name: str
    shape: LayerShape
    times_us: PairRow[float]
    """Microseconds."""
    spreads_us: PairRow[float]
    """How far apart the quiet rounds of a time are; empty where nothing was repeated."""
    families: PairRow[str]

    def pair(self, bits: int) -> tuple[int, int]:
        """Return the bit pair that stands for one width."""
        equal, fixed = (bits, bits), (bits, INPUT_BITS)
        # Of a product, the right tensor may be the network's input as well.
        return next((p for p in (equal, fixed) if p in self.times_us), (INPUT_BITS, bits))

    @property
    def reads_input(self) -> bool:
        """Whether the layer's activations keep their 8 bits."""
        return {activation for _, activation in self.times_us} == {INPUT_BITS} and any(
            weight != INPUT_BITS for weight, _ in self.times_us
        )

    @property
    def timed(self) -> bool:
        """Whether every time is above nothing: a program less an empty program may not be."""
        return all(time_us > 0.0 for time_us in self.times_us.values())

    def us(self, bits: int) -> float:
        """Return the time at one width."""
        return self.times_us[self.pair(bits)]

    def speedup(self, bits: int) -> float:
        """Return the time at 8 bits over the time at one width."""
        return self.us(MAX_BITS) / self.us(bits)

    def relative_spread(self, bits: int) -> float:
        """Return the spread of the time at one width, as a share of it."""
        return self.spreads_us.get(self.pair(bits), 0.0) / self.us(bits)

    def gmac_per_s(self, bits: int) -> float:
        """Return the speed at one width, in 10^9 multiply-accumulates a second."""
        return self.shape.macs / self.us(bits) / 1000.0

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        document = plain(self)
        head = {"layer": document.pop("name"), "shape": str(self.shape), **document.pop("shape")}
        return {**head, **document}


def layer_steps(graph: DeployGraph, table: LayerTable, batch: int) -> tuple[LayerSteps, ...]:
    """Return the steps of every layer of a graph, in its order.

    Args:
        graph: What was measured.
        table: Its layer table.
        batch: Images in one execution.
    """
    return tuple(
        LayerSteps(
            name=op.layer,
            shape=layer_shape(graph, op, batch),
            times_us=table.times_us[op.layer],
            spreads_us=table.spreads_us.get(op.layer, {}),
            families=table.families.get(op.layer, {}),
        )
        for op in graph.decided_ops()
    )
