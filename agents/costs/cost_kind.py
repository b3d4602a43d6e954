"""CostKind: what a method may look at as the cost."""

from typing import Literal, get_args

from env.errors import BudgetError
from hardware.layers.table import LayerTable

CostKind = Literal["budget", "latency", "energy", "model_bytes", "bops", "mean_bits"]
COST_KINDS: tuple[CostKind, ...] = get_args(CostKind)
RESOURCES: tuple[CostKind, ...] = ("latency", "model_bytes", "energy")
"""In the order of a CostTable's columns."""


def check_cost(kind: CostKind, table: LayerTable) -> None:
    """Refuse a cost that needs a meter where there is none.

    Raises:
        BudgetError: energy is asked for and the layer table has none.
    """
    if kind == "energy" and not table.has_energies:
        raise BudgetError(
            "expected energies in the layer table for the cost energy, found none",
            "use a machine with an energy meter, or another cost",
        )
