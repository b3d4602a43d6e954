"""Configurations of the methods that solve once: what each looks at."""

from dataclasses import dataclass
from typing import Literal, get_args

from env.errors import TaskError
from quant.sensitivities import SensitivityKind

__all__ = ["COST_KINDS", "CostKind", "HAWQConfig", "MCKPConfig", "OMPQConfig"]

CostKind = Literal["budget", "latency", "energy", "model_bytes", "bops", "mean_bits"]
COST_KINDS: tuple[CostKind, ...] = get_args(CostKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class MCKPConfig:
    """Second-order sensitivities and a multiple-choice knapsack."""

    cost: CostKind = "budget"
    """What it pays with: the budget's own resources, or one quantity whose limit is raised as far
    as the budget allows."""
    sensitivity: SensitivityKind = "gauss-newton"
    """What a choice is taken to lose: the paper's estimate, or another method's."""
    solver: Literal["greedy", "exact"] = "greedy"
    """The paper's greedy steps, or the integer program they approximate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HAWQConfig:
    """Hessian traces and an integer program."""

    cost: CostKind = "budget"
    """What it pays with: the budget's own resources, or one quantity whose limit is raised as far
    as the budget allows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OMPQConfig:
    """Orthogonality of layers and a linear program."""

    cost: CostKind = "budget"
    """What it pays with: the budget's own resources, or one quantity whose limit is raised as far
    as the budget allows."""
    beta: float = 1.0
    """How much more bits an orthogonal layer is worth, `exp(-beta * similarity)`; the published
    values go from 1e-9 to 100, chosen for each network."""
    activations: Literal["allocated", "uniform"] = "allocated"
    """Whether activations get bits like weights, or all the same bits as in the paper."""

    def __post_init__(self) -> None:
        """Refuse a negative beta, which would reward layers for being alike."""
        if not self.beta >= 0:
            raise TaskError(f"ompq.beta: expected 0 or more, found {self.beta}")
