"""The one interface of all searches: a problem in, evaluated allocations out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from env.bit_allocation import BitAllocationEnv
from env.decisions.budget import MEASURED_TOLERANCE, Budget
from env.decisions.costs import model_bytes
from env.decisions.decisions import DecisionSpace
from env.evaluating.accounting import Ledger
from env.evaluating.evaluation import Evaluation
from env.evaluating.ranking import rank
from env.evaluating.reward import RewardConfig
from env.evaluating.search_evaluator import SearchEvaluator
from env.practice.scales import measured_over_predicted
from env.responses.batch_looks import BatchLook
from env.responses.posterior import ResponsePosterior
from env.responses.prior import ResponsePrior
from env.responses.shipped import shipped_prior
from env.sensitivity.sensitivities import SensitivitySource
from env.tasks.task import Split
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.layers import LayerSpec
from quant.network import QuantizedNetwork
from quant.objective.objective import CLASSIFICATION, Objective
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.retrainer import Retrainer

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchProblem:
    """Everything a method may look at; each takes what it needs.

    Methods that ask for evaluations use `evaluator` (or an environment from `make_env`), methods
    that train as they go use `prepare` and `train`, and methods that only need a network and data
    use `prepare`, `train` and `table` and ask for nothing.
    """

    space: DecisionSpace
    """What may be decided, of which layers; every answer is one of its allocations."""
    budget: Budget
    """The resource budget (milliseconds, bytes, millijoules); the evaluation limit is the
    evaluator's."""
    evaluator: SearchEvaluator
    """Retrains and measures; counts, and refuses more than its evaluation limit."""
    table: LayerTable
    reference: Evaluation
    """The all-8-bit evaluation, measured on the same device with the same protocol."""
    make_env: Callable[[], BitAllocationEnv]
    """Makes an environment; before the first one the loss's rises over the whole search split are
    measured, or found in the store."""
    prepare: Callable[[], QuantizedNetwork]
    """Returns a fresh calibrated network at the float checkpoint, which the method may train."""
    sensitivities: SensitivitySource
    """Estimates what quantizing each tensor does, when it is first asked."""
    retrainer: Callable[[FinetuneConfig], Retrainer]
    """Returns what trains such a network as a method's own settings say."""
    train: Split
    search: Split
    ledger: Ledger = field(default_factory=Ledger)
    """Where a method enters what it uses beside its evaluations: images it trained on."""
    batch_looks: list[BatchLook] = field(default_factory=list)
    """Where a method enters what it saw while weights were shared; the posterior learns from it."""
    objective: Objective = CLASSIFICATION
    """Loss and metric."""
    reward: RewardConfig = field(default_factory=RewardConfig)
    prior: ResponsePrior = field(default_factory=shipped_prior)
    """What sensitivities mean, for methods that believe a model of the responses."""
    say: Callable[[str], None] = _logger.warning
    """Tells the user what a method cannot do as asked, in a sentence."""
    uniform_first: bool = True
    """Whether the uniform allocations inside the budget are evaluated before the method's own."""
    log_folder: Path | None = None
    """Where a method may write TensorBoard events of its own."""
    state_folder: Path | None = None
    """Where a method may keep what it has learnt, for a run that is resumed."""

    @property
    def layers(self) -> tuple[LayerSpec, ...]:
        """The network's layers, in execution order."""
        return self.space.layers

    def seen(self) -> dict[Allocation, Evaluation]:
        """Return the latest evaluation of each allocation that was evaluated, in order."""
        return {evaluation.allocation: evaluation for evaluation in self.evaluator.evaluations}

    def corrected_budget(self) -> Budget:
        """Return the limits that the layer table's sums must keep, as all evaluations so far say.

        A program takes so many times what the table adds up to.
        """
        scales = measured_over_predicted(self.evaluator.evaluations, self.table)
        return scales.correct(self.budget)

    def bytes_of(self, allocation: Allocation) -> int:
        """Return the model size of an allocation in bytes."""
        return model_bytes(self.layers, allocation)


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchResult:
    """What a method answers."""

    candidates: tuple[Allocation, ...]
    """Best first, all inside the budget as far as the method knows."""
    posterior: ResponsePosterior | None = field(default=None, compare=False)
    """The model that says which is best; None where the scores themselves do."""


class Search(Protocol):
    """What a method does."""

    def __call__(self, problem: SearchProblem, config: Any, *, seed: int) -> SearchResult:
        """Search until the problem's evaluation limit is used up or the method is done.

        Args:
            problem: What is searched.
            config: The method's own settings; None where it has none.
            seed: Equal seeds search equally.
        """


@dataclass(frozen=True, slots=True)
class Method:
    """A way of choosing an allocation: its function, and the dataclass of its settings."""

    search: Search
    config: type[Any] | None = None
    """Its defaults and its docstring are those of the command line; None for no settings."""

    def defaults(self) -> Any:
        """Return the settings when nothing is asked for; None where there are none."""
        return None if self.config is None else self.config()


def evaluated_inside(problem: SearchProblem) -> list[Evaluation]:
    """Return the evaluations that may be answered, as measured, in their order."""
    return [
        evaluation
        for evaluation in problem.evaluator.evaluations
        if problem.budget.admits(evaluation, tolerance=MEASURED_TOLERANCE)
        and problem.space.admits(evaluation.allocation)
    ]


def rank_candidates(problem: SearchProblem) -> SearchResult:
    """Return what was evaluated inside the budget, best first.

    The reference is passed over where the user's rules leave some layer other widths.
    """
    ordered = rank(evaluated_inside(problem), problem.reference, problem.reward)
    return SearchResult(candidates=tuple(evaluation.allocation for evaluation in ordered))
