"""CostKind: what a method may look at as the cost."""

from typing import Literal, get_args

__all__ = ["COST_KINDS", "CostKind"]

CostKind = Literal["budget", "latency", "energy", "model_bytes", "bops", "mean_bits"]
COST_KINDS: tuple[CostKind, ...] = get_args(CostKind)
