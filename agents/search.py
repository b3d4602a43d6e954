"""The one interface of all searches: a problem in, evaluated allocations out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from env.bit_allocation import BitAllocationEnv
from env.budget import Budget
from env.evaluation import Evaluation
from env.evaluator import Evaluator
from hardware.layer_table import LayerTable
from quant.allocation import Allocation
from quant.layers import LayerSpec
from quant.network import QuantizedNetwork

__all__ = ["LabelledData", "Search", "SearchProblem", "SearchResult"]

LabelledData = tuple[torch.Tensor, torch.Tensor]
"""Images float32 `[N, C, H, W]` and labels int64 `[N]`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchProblem:
    """Everything a method may look at; each takes what it needs.

    Methods that ask for evaluations use `evaluator` (or an environment from `make_env`), methods
    that train as they go use `prepare` and `train_data`, and methods that only need a network and
    data use `prepare`, `train_data` and `table` and ask for nothing.
    """

    layers: tuple[LayerSpec, ...]
    bit_choices: tuple[int, ...]
    budget: Budget
    evaluator: Evaluator
    """Retrains and measures; counts, and refuses more than its evaluation limit."""
    table: LayerTable
    reference: Evaluation
    """The all-8-bit evaluation, measured on the same device with the same protocol."""
    make_env: Callable[[], BitAllocationEnv]
    prepare: Callable[[], QuantizedNetwork]
    """Returns a fresh calibrated network at the float checkpoint, which the method may train."""
    train_data: LabelledData
    search_data: LabelledData


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchResult:
    """What a method answers."""

    candidates: tuple[Allocation, ...]
    """Best first, all inside the budget as far as the method knows."""
    evaluations: tuple[Evaluation, ...] = ()
    """The real evaluations it asked for, in order."""


class Search(Protocol):
    """A method: one function in one file, one line in `agents.methods.METHODS`."""

    def __call__(self, problem: SearchProblem, *, seed: int) -> SearchResult:
        """Search until the problem's evaluation limit is used up or the method is done."""
