"""The layer table as a JSON document, with the row of what no layer accounts for."""

from typing import Any

from hardware.layer_table import LayerTable

__all__ = ["layer_table_document"]


def layer_table_document(table: LayerTable) -> dict[str, Any]:
    """Return `{layer: {"w/a": microseconds}}` and the overhead, with where they come from."""
    return {
        "unit": "microseconds",
        "source": table.source,
        "disturbed_share": table.disturbed_share,
        "overhead_us": table.overhead_us,
        "layers": {
            layer: {f"{weight}/{activation}": value for (weight, activation), value in row.items()}
            for layer, row in table.times_us.items()
        },
    }
