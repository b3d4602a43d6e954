"""Layers that may be left in float, in a layer table: what their islands take in a program."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hardware.layers.table import LayerTable, PairTable, T
from quant.layers import FLOAT_BITS

_FAMILY = "float island"
"""What a layer table calls the kernels of a layer in float."""


def with_float_layers(table: LayerTable, beside: LayerTable, layers: Sequence[str]) -> LayerTable:
    """Return a table that knows some layers with `FLOAT_BITS` weights too.

    The way into and out of float is counted with them. What they read has eight bits or fewer in
    one byte, so that its width changes nothing.

    Args:
        table: Of the network's integer layers.
        beside: Of the same network with these layers in float, as its float islands.
        layers: The layers.
    """
    watts = beside.overhead_uj / beside.overhead_us if beside.overhead_us > 0 else 0.0

    def grown(rows: PairTable[T], of: Mapping[str, T]) -> PairTable[T]:
        return {
            name: {**row, **{(FLOAT_BITS, a): of[name] for _, a in row if name in layers}}
            for name, row in rows.items()
        }

    islands_us = {name: beside.islands_us[name] for name in layers}
    return replace(
        table,
        times_us=grown(table.times_us, islands_us),
        spreads_us=grown(table.spreads_us, dict.fromkeys(layers, 0.0)),
        families=grown(table.families, dict.fromkeys(layers, _FAMILY)),
        energies_uj=grown(table.energies_uj, {name: us * watts for name, us in islands_us.items()}),
    )
